//! Conditions, compiled.

use serde_json::Value;

use super::{
    Kind, Rule,
    evaluate::{Event, Needs, Room},
    glob::Glob,
};
use crate::event::json;

/// The one property whose patterns are matched on words.
const BODY: &str = "content.body";

/// One thing that must hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    Matches {
        key: Box<str>,
        path: Path,
        glob: Glob,
    },
    Is {
        path: Path,
        value: Scalar,
    },
    Contains {
        path: Path,
        value: Scalar,
    },
    DisplayName,
    Members {
        comparison: Comparison,
        count: u64,
    },
    Permission(Box<str>),
    InRoom(Box<str>),
    FromSender(Box<str>),
    /// Not known here: holds for nothing.
    Never,
}

/// The keys that lead to a property, from the event's outermost object in.
pub(super) type Path = Vec<String>;

/// A value that is neither array nor object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Text(String),
    /// A number, `true`, `false` or `null`, as canonical JSON.
    Other(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// All that must hold for a rule.
pub(super) fn compile(kind: Kind, rule: &Rule) -> Vec<Condition> {
    match kind {
        Kind::Override | Kind::Underride => rule.conditions.iter().flatten().map(Condition::compile).collect(),
        Kind::Content => vec![Condition::matches(BODY, rule.pattern.as_deref().unwrap_or_default())],
        Kind::Room => vec![Condition::InRoom(rule.rule_id.as_str().into())],
        Kind::Sender => vec![Condition::FromSender(rule.rule_id.as_str().into())],
    }
}

impl Condition {
    fn compile(condition: &Value) -> Self {
        let text = |name: &str| condition.get(name).and_then(Value::as_str);
        let value = || condition.get("value").and_then(Scalar::compile);
        let compiled = match text("kind") {
            Some("event_match") => (|| Some(Self::matches(text("key")?, text("pattern")?)))(),
            Some("event_property_is") => (|| {
                Some(Self::Is {
                    path: path(text("key")?),
                    value: value()?,
                })
            })(),
            Some("event_property_contains") => (|| {
                Some(Self::Contains {
                    path: path(text("key")?),
                    value: value()?,
                })
            })(),
            Some("contains_display_name") => Some(Self::DisplayName),
            Some("room_member_count") => text("is").and_then(members),
            Some("sender_notification_permission") => text("key").map(|key| Self::Permission(key.into())),
            Some(_) | None => None,
        };
        compiled.unwrap_or(Self::Never)
    }

    fn matches(key: &str, pattern: &str) -> Self {
        Self::Matches {
            key: key.into(),
            path: path(key),
            glob: Glob::compile(pattern),
        }
    }

    /// What has to be known of the room to say whether it holds.
    pub(super) fn needs(&self) -> Option<Needs> {
        match self {
            Self::Members { .. } => Some(Needs::Members),
            Self::DisplayName => Some(Needs::DisplayName),
            Self::Permission(_) => Some(Needs::PowerLevels),
            Self::Matches { .. }
            | Self::Is { .. }
            | Self::Contains { .. }
            | Self::InRoom(_)
            | Self::FromSender(_)
            | Self::Never => None,
        }
    }

    pub(super) fn holds(&self, event: &Event<'_>, room: &Room<'_>) -> bool {
        match self {
            Self::Matches { key, path, glob } => {
                let text = event.text(key, path);
                text.is_some_and(|text| {
                    if **key == *BODY {
                        glob.matches_words(&text)
                    } else {
                        glob.matches(&text)
                    }
                })
            }
            Self::Is { path, value } => event.property(path).is_some_and(|found| value.is(found)),
            Self::Contains { path, value } => {
                let list = event.property(path);
                list.is_some_and(|list| json::elements(list).any(|found| value.is(found)))
            }
            Self::DisplayName => room.display_name.is_some_and(|name| {
                let body = event.text(BODY, &path(BODY));
                let is_named = |body: &[char]| Glob::literal(name).matches_words(body);
                !name.is_empty() && body.is_some_and(|body| is_named(&body))
            }),
            Self::Members { comparison, count } => comparison.holds(room.members, *count),
            Self::Permission(key) => (room.may_notify)(key),
            Self::InRoom(room_id) => event.body.room_id().as_str() == &**room_id,
            Self::FromSender(sender) => event.body.sender().as_str() == &**sender,
            Self::Never => false,
        }
    }
}

impl Scalar {
    fn compile(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Number(number) if number.is_f64() => None,
            Value::Null | Value::Bool(_) | Value::Number(_) => Some(Self::Other(value.to_string())),
            Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn is(&self, found: &str) -> bool {
        match self {
            Self::Text(text) => json::string(found).is_some_and(|found| found == *text),
            Self::Other(text) => text == found,
        }
    }
}

impl Comparison {
    fn holds(self, left: u64, right: u64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

fn members(is: &str) -> Option<Condition> {
    let comparisons = [
        ("==", Comparison::Equal),
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    let with_sign = comparisons
        .into_iter()
        .find_map(|(sign, comparison)| Some((comparison, is.strip_prefix(sign)?)));
    let (comparison, count) = with_sign.unwrap_or((Comparison::Equal, is));
    Some(Condition::Members {
        comparison,
        count: count.parse().ok()?,
    })
}

/// Splits a path at its dots, but for those with a backslash before them.
/// <https://spec.matrix.org/v1.19/appendices/#dot-separated-property-paths>
fn path(key: &str) -> Path {
    let mut path = vec![String::new()];
    let mut chars = key.chars();
    while let Some(found) = chars.next() {
        let last = path.last_mut().expect("there is one from the start");
        match found {
            '.' => path.push(String::new()),
            '\\' => match chars.clone().next() {
                Some(escaped @ ('.' | '\\')) => {
                    chars.next();
                    last.push(escaped);
                }
                Some(_) | None => last.push('\\'),
            },
            other => last.push(other),
        }
    }
    path
}
