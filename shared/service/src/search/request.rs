//! What a search asks for.

use plexus_core::filter::RoomEventFilter;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ServiceError;

/// Results of a search that asks for no number.
const LIMIT_DEFAULT: usize = 10;
/// Most results of one answer.
const LIMIT_MAX: usize = 100;
/// Events shown around a result, on each side, if no number is asked for.
const CONTEXT_DEFAULT: usize = 5;
/// Most of them.
const CONTEXT_MAX: usize = 10;

/// The body of a search, as clients write it.
#[derive(Debug, Deserialize)]
pub struct SearchRequest {
    search_categories: Categories,
}

#[derive(Debug, Deserialize)]
struct Categories {
    room_events: Option<RoomEvents>,
}

#[derive(Debug, Deserialize)]
struct RoomEvents {
    search_term: String,
    keys: Option<Vec<String>>,
    filter: Option<Box<RawValue>>,
    order_by: Option<String>,
    event_context: Option<EventContext>,
    include_state: Option<bool>,
    groupings: Option<Groupings>,
}

#[derive(Debug, Deserialize)]
struct EventContext {
    before_limit: Option<u64>,
    after_limit: Option<u64>,
    include_profile: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Groupings {
    #[serde(default)]
    group_by: Vec<GroupBy>,
}

#[derive(Debug, Deserialize)]
struct GroupBy {
    key: String,
}

/// Where words are looked for. The discriminants are what the index holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Body = 1,
    Name = 2,
    Topic = 3,
}

/// What results are put together by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grouping {
    Room,
    Sender,
}

/// How much is shown around a result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    pub(super) before: usize,
    pub(super) after: usize,
    pub(super) profiles: bool,
}

/// Which results follow: those after a key, of everything or of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) after: (i64, i64),
    pub(super) group: Option<(Grouping, i64)>,
}

/// A search, checked.
#[derive(Debug)]
pub(super) struct Criteria {
    pub(super) term: String,
    pub(super) parts: Vec<Part>,
    pub(super) filter: RoomEventFilter,
    pub(super) limit: usize,
    pub(super) by_rank: bool,
    pub(super) around: Option<Around>,
    pub(super) with_state: bool,
    pub(super) groupings: Vec<Grouping>,
    pub(super) token: Option<Token>,
}

impl SearchRequest {
    /// What to look for; none if nothing is.
    pub(super) fn criteria(&self, next_batch: Option<&str>) -> Result<Option<Criteria>, ServiceError> {
        let Some(asked) = &self.search_categories.room_events else {
            return Ok(None);
        };
        let filter = match &asked.filter {
            Some(filter) => RoomEventFilter::parse(filter.get().as_bytes())
                .map_err(|error| ServiceError::bad_json(format_args!("the filter cannot be used: {error}")))?,
            None => RoomEventFilter::default(),
        };
        let token = next_batch.map(Token::parse).transpose()?;
        Ok(Some(Criteria {
            term: asked.search_term.clone(),
            parts: parts(asked.keys.as_deref())?,
            limit: filter.events.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX),
            filter,
            by_rank: match asked.order_by.as_deref() {
                None | Some("rank") => true,
                Some("recent") => false,
                Some(_) => return Err(ServiceError::invalid_param("order_by is neither rank nor recent")),
            },
            around: asked.event_context.as_ref().map(EventContext::around),
            with_state: asked.include_state.unwrap_or_default(),
            groupings: groupings(asked.groupings.as_ref())?,
            token,
        }))
    }
}

impl EventContext {
    fn around(&self) -> Around {
        let count = |asked: Option<u64>| {
            let asked = asked.map(|asked| usize::try_from(asked).unwrap_or(usize::MAX));
            asked.unwrap_or(CONTEXT_DEFAULT).min(CONTEXT_MAX)
        };
        Around {
            before: count(self.before_limit),
            after: count(self.after_limit),
            profiles: self.include_profile.unwrap_or_default(),
        }
    }
}

fn parts(keys: Option<&[String]>) -> Result<Vec<Part>, ServiceError> {
    let Some(keys) = keys else {
        return Ok(vec![Part::Body, Part::Name, Part::Topic]);
    };
    let part = |key: &String| match key.as_str() {
        "content.body" => Ok(Part::Body),
        "content.name" => Ok(Part::Name),
        "content.topic" => Ok(Part::Topic),
        _ => Err(ServiceError::invalid_param(
            "keys are content.body, content.name, content.topic",
        )),
    };
    keys.iter().map(part).collect()
}

fn groupings(asked: Option<&Groupings>) -> Result<Vec<Grouping>, ServiceError> {
    let grouping = |by: &GroupBy| match by.key.as_str() {
        "room_id" => Ok(Grouping::Room),
        "sender" => Ok(Grouping::Sender),
        _ => Err(ServiceError::invalid_param("groups are by room_id or sender")),
    };
    let all: Result<Vec<Grouping>, ServiceError> = asked
        .into_iter()
        .flat_map(|asked| &asked.group_by)
        .map(grouping)
        .collect();
    let mut all = all?;
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

impl Token {
    fn parse(text: &str) -> Result<Self, ServiceError> {
        Self::read(text).ok_or_else(|| ServiceError::invalid_param("next_batch is none of this server's"))
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('~');
        let mut number = || parts.next()?.parse::<i64>().ok();
        let after = (number()?, number()?);
        let group = match parts.next() {
            None => None,
            Some(group) => {
                let by = match group.get(..1)? {
                    "r" => Grouping::Room,
                    "u" => Grouping::Sender,
                    _ => return None,
                };
                Some((by, group[1..].parse().ok()?))
            }
        };
        parts.next().is_none().then_some(Self { after, group })
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}~{}", self.after.0, self.after.1)?;
        match self.group {
            None => Ok(()),
            Some((Grouping::Room, room)) => write!(f, "~r{room}"),
            Some((Grouping::Sender, sender)) => write!(f, "~u{sender}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn criteria(json: &str) -> Result<Option<Criteria>, ServiceError> {
        let json = format!(r#"{{"search_categories":{json}}}"#);
        serde_json::from_str::<SearchRequest>(&json)
            .expect("JSON")
            .criteria(None)
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        assert!(criteria("{}").expect("fine").is_none());
        let asked = criteria(r#"{"room_events":{"search_term":"a"}}"#)
            .expect("fine")
            .expect("something");
        assert!(asked.by_rank && !asked.with_state && asked.around.is_none() && asked.groupings.is_empty());
        assert_eq!((asked.limit, asked.parts.len()), (LIMIT_DEFAULT, 3));
        let asked = r#"{"room_events":{"search_term":"a","filter":{"limit":5000},"order_by":"recent",
            "event_context":{"before_limit":5000},"keys":["content.name"],"groupings":{"group_by":[{"key":"sender"},{"key":"sender"}]}}}"#;
        let asked = criteria(asked).expect("fine").expect("something");
        let around = asked.around.expect("asked for");
        assert_eq!(
            (asked.limit, around.before, around.after),
            (LIMIT_MAX, CONTEXT_MAX, CONTEXT_DEFAULT)
        );
        assert_eq!(
            (asked.parts, asked.groupings),
            (vec![Part::Name], vec![Grouping::Sender])
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for asked in [
            r#"{"room_events":{"search_term":"a","order_by":"luck"}}"#,
            r#"{"room_events":{"search_term":"a","keys":["content.secret"]}}"#,
            r#"{"room_events":{"search_term":"a","groupings":{"group_by":[{"key":"type"}]}}}"#,
            r#"{"room_events":{"search_term":"a","filter":{"limit":-1}}}"#,
        ] {
            assert!(criteria(asked).is_err(), "{asked}");
        }
        for token in ["", "1", "a~b", "1~2~x3", "1~2~r", "1~2~r3~4", "1~2~\u{e9}3"] {
            assert!(Token::parse(token).is_err(), "{token}");
        }
        for group in [None, Some((Grouping::Room, 3)), Some((Grouping::Sender, 4))] {
            let token = Token { after: (-1, 2), group };
            assert_eq!(Token::parse(&token.to_string()).expect("its own"), token);
        }
    }
}
