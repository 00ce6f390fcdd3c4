//! Push rules: what of the events of his rooms a user is told, and how loudly.
//!
//! A [`Ruleset`] is what clients see and change. To ask it about events it is compiled, once, into [`Rules`]. What every user begins with is a table of the
//! specification ([`server_default`]); for events that nobody's own rules are asked about, [`Effect`] answers the same for all members at once.
//!
//! Rules come from outside, are kept for good and are tried on every event, so their number and size are bounded, and trying one takes time in proportion to
//! the text it looks at. See <https://spec.matrix.org/v1.19/client-server-api/#push-rules>.

mod change;
mod condition;
mod default;
mod evaluate;
pub(crate) mod glob;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::{
    change::{ChangeError, NewRule, Place},
    default::{Effect, MENTIONS_MAX, may_highlight, server_default},
    evaluate::{Answer, Event, Needs, Room, Rules},
};

/// Most rules that a user may add.
pub const RULES_MAX: usize = 1_000;

/// Most bytes of a rule's id.
pub const RULE_ID_BYTES_MAX: usize = 255;

/// Most bytes of a rule, as JSON.
pub const RULE_BYTES_MAX: usize = 4 << 10;

/// Most bytes of all of a user's rules, as JSON.
pub const RULESET_BYTES_MAX: usize = 256 << 10;

/// The kinds of rules, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Before all others.
    Override,
    /// On words in the body.
    Content,
    /// On all events of a room.
    Room,
    /// On all events of a sender.
    Sender,
    /// After all others.
    Underride,
}

impl Kind {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 5] = [Self::Override, Self::Content, Self::Room, Self::Sender, Self::Underride];

    /// The word in paths and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Override => "override",
            Self::Content => "content",
            Self::Room => "room",
            Self::Sender => "sender",
            Self::Underride => "underride",
        }
    }

    /// The kind of that name.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One rule, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name, unique in its kind; those of the server begin with a dot.
    pub rule_id: String,
    /// Whether it is the server's.
    pub default: bool,
    /// Whether it is tried.
    pub enabled: bool,
    /// What is to be done.
    pub actions: Vec<Value>,
    /// What must hold; only of override and underride rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Vec<Value>>,
    /// What the body must have; only of content rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

/// All rules of a user, as clients see them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruleset {
    #[serde(rename = "override", default)]
    override_: Vec<Rule>,
    #[serde(default)]
    content: Vec<Rule>,
    #[serde(default)]
    room: Vec<Rule>,
    #[serde(default)]
    sender: Vec<Rule>,
    #[serde(default)]
    underride: Vec<Rule>,
}

impl Ruleset {
    /// The rules of a kind, the most important one first.
    pub fn of(&self, kind: Kind) -> &[Rule] {
        match kind {
            Kind::Override => &self.override_,
            Kind::Content => &self.content,
            Kind::Room => &self.room,
            Kind::Sender => &self.sender,
            Kind::Underride => &self.underride,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut Vec<Rule> {
        match kind {
            Kind::Override => &mut self.override_,
            Kind::Content => &mut self.content,
            Kind::Room => &mut self.room,
            Kind::Sender => &mut self.sender,
            Kind::Underride => &mut self.underride,
        }
    }

    /// One rule.
    pub fn get(&self, kind: Kind, rule_id: &str) -> Option<&Rule> {
        self.of(kind).iter().find(|rule| rule.rule_id == rule_id)
    }

    /// Every rule with its kind, in the order in which they are tried.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &Rule)> {
        Kind::ALL
            .into_iter()
            .flat_map(|kind| self.of(kind).iter().map(move |rule| (kind, rule)))
    }

    /// What was stored, brought up to date with the rules that the server has now: those keep what the user made of them.
    #[must_use]
    pub fn on(&self, defaults: &Self) -> Self {
        let mut merged = Self::default();
        for kind in Kind::ALL {
            let stored = self.of(kind);
            let current = |rule: &Rule| match stored.iter().find(|old| old.default && old.rule_id == rule.rule_id) {
                Some(old) => Rule {
                    enabled: old.enabled,
                    actions: old.actions.clone(),
                    ..rule.clone()
                },
                None => rule.clone(),
            };
            let (master, others): (Vec<Rule>, Vec<Rule>) = defaults
                .of(kind)
                .iter()
                .map(current)
                .partition(|rule| rule.rule_id == default::MASTER);
            let own = stored.iter().filter(|rule| !rule.default).cloned();
            *merged.of_mut(kind) = master.into_iter().chain(own).chain(others).collect();
        }
        merged
    }
}

/// The content of `m.push_rules`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The one set there is.
    pub global: Ruleset,
}
