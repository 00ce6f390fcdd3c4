//! What a client may do to its rules.

use serde::Deserialize;
use serde_json::Value;

use super::{Kind, RULE_BYTES_MAX, RULE_ID_BYTES_MAX, RULES_MAX, RULESET_BYTES_MAX, Rule, Ruleset, default::MASTER};

/// Why rules were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// There is no such rule (`M_NOT_FOUND`).
    #[error("there is no such push rule")]
    NotFound,
    /// What was given cannot be a rule, or not there (`M_INVALID_PARAM`).
    #[error("{0}")]
    Invalid(String),
    /// More than is kept (`M_TOO_LARGE`).
    #[error("{0}")]
    TooMuch(String),
}

fn invalid(message: impl Into<String>) -> ChangeError {
    ChangeError::Invalid(message.into())
}

/// What a client says of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NewRule {
    /// What is to be done.
    pub actions: Vec<Value>,
    /// What must hold, for override and underride rules.
    pub conditions: Option<Vec<Value>>,
    /// What the body must have, for content rules.
    pub pattern: Option<String>,
}

/// Where a rule is to stand among those of its kind that the user has made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place<'a> {
    /// Right before this one. Counts more than `after`.
    pub before: Option<&'a str>,
    /// Right after this one.
    pub after: Option<&'a str>,
}

/// The actions there are without parameters. The last two are of older specifications, and do nothing.
const ACTIONS: [&str; 3] = ["notify", "dont_notify", "coalesce"];

impl NewRule {
    fn check(&self, kind: Kind) -> Result<(), ChangeError> {
        check_actions(&self.actions)?;
        if kind == Kind::Content && self.pattern.is_none() {
            return Err(invalid("a content rule needs a pattern"));
        }
        let has_kind = |condition: &Value| condition.get("kind").is_some_and(Value::is_string);
        if !self.conditions.iter().flatten().all(has_kind) {
            return Err(invalid("a condition needs a kind"));
        }
        Ok(())
    }
}

fn check_actions(actions: &[Value]) -> Result<(), ChangeError> {
    let is_known = |action: &Value| match action {
        Value::String(word) => ACTIONS.contains(&word.as_str()),
        Value::Object(object) => object.get("set_tweak").is_some_and(Value::is_string),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => false,
    };
    if actions.iter().all(is_known) {
        return Ok(());
    }
    Err(invalid("an action is neither `notify` nor sets a tweak"))
}

/// What a client may call a rule.
fn check_id(rule_id: &str) -> Result<(), ChangeError> {
    if rule_id.starts_with('.') {
        return Err(invalid("rules that begin with a dot are the server's"));
    }
    if rule_id.is_empty() || rule_id.len() > RULE_ID_BYTES_MAX || rule_id.contains(['/', '\\']) {
        return Err(invalid("a rule's id has 1 to 255 bytes and no slashes"));
    }
    Ok(())
}

impl Ruleset {
    /// Adds a rule, or changes one that the user has added.
    pub fn put(&mut self, kind: Kind, rule_id: &str, new: NewRule, place: Place<'_>) -> Result<(), ChangeError> {
        check_id(rule_id)?;
        new.check(kind)?;
        let is_conditional = matches!(kind, Kind::Override | Kind::Underride);
        let old = self.get(kind, rule_id);
        let rule = Rule {
            rule_id: rule_id.to_owned(),
            default: false,
            enabled: old.is_none_or(|old| old.enabled),
            actions: new.actions,
            conditions: is_conditional.then(|| new.conditions.unwrap_or_default()),
            pattern: new.pattern.filter(|_| kind == Kind::Content),
        };
        if json_bytes(&rule) > RULE_BYTES_MAX {
            return Err(ChangeError::TooMuch(format!(
                "a rule has at most {RULE_BYTES_MAX} bytes"
            )));
        }
        let is_new = old.is_none();
        if is_new && self.iter().filter(|(_, rule)| !rule.default).count() >= RULES_MAX {
            return Err(ChangeError::TooMuch(format!("a user has at most {RULES_MAX} rules")));
        }
        let mut changed = self.clone();
        insert(changed.of_mut(kind), rule, place)?;
        changed.keep_if_small(self)
    }

    /// Removes a rule that the user has added.
    pub fn delete(&mut self, kind: Kind, rule_id: &str) -> Result<(), ChangeError> {
        match self.get(kind, rule_id) {
            None => Err(ChangeError::NotFound),
            Some(rule) if rule.default => Err(invalid("a rule of the server cannot be deleted")),
            Some(_) => {
                self.of_mut(kind).retain(|rule| rule.rule_id != rule_id);
                Ok(())
            }
        }
    }

    /// Makes a rule be tried, or not.
    pub fn set_enabled(&mut self, kind: Kind, rule_id: &str, enabled: bool) -> Result<(), ChangeError> {
        self.rule_mut(kind, rule_id)?.enabled = enabled;
        Ok(())
    }

    /// Says what is to be done where a rule holds.
    pub fn set_actions(&mut self, kind: Kind, rule_id: &str, actions: Vec<Value>) -> Result<(), ChangeError> {
        check_actions(&actions)?;
        let mut changed = self.clone();
        changed.rule_mut(kind, rule_id)?.actions = actions;
        changed.keep_if_small(self)
    }

    fn rule_mut(&mut self, kind: Kind, rule_id: &str) -> Result<&mut Rule, ChangeError> {
        let rule = self.of_mut(kind).iter_mut().find(|rule| rule.rule_id == rule_id);
        rule.ok_or(ChangeError::NotFound)
    }

    fn keep_if_small(self, place: &mut Self) -> Result<(), ChangeError> {
        if json_bytes(&self) > RULESET_BYTES_MAX {
            return Err(ChangeError::TooMuch(format!(
                "a user's rules have at most {RULESET_BYTES_MAX} bytes"
            )));
        }
        *place = self;
        Ok(())
    }
}

fn json_bytes(value: &impl serde::Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |json| json.len())
}

/// Puts a rule where it belongs; one that is there already stays where it is unless a place is asked for.
fn insert(rules: &mut Vec<Rule>, rule: Rule, place: Place<'_>) -> Result<(), ChangeError> {
    let at = rules.iter().position(|old| old.rule_id == rule.rule_id);
    if place == Place::default()
        && let Some(at) = at
    {
        rules[at] = rule;
        return Ok(());
    }
    if let Some(at) = at {
        rules.remove(at);
    }
    let anchor = |rule_id: &str| {
        let at = rules.iter().position(|old| old.rule_id == rule_id && !old.default);
        at.ok_or_else(|| invalid(format!("before/after rule not found: {rule_id}")))
    };
    // Both have to be there, though only one decides.
    let after = place.after.map(anchor).transpose()?;
    let before = place.before.map(anchor).transpose()?;
    // Behind the one rule of the server that comes before everybody's own.
    let first = usize::from(rules.first().is_some_and(|first| first.rule_id == MASTER));
    let at = before.or(after.map(|at| at + 1)).unwrap_or(first);
    rules.insert(at, rule);
    Ok(())
}
