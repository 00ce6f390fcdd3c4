//! What a user's rules say of an event.

use std::{cell::RefCell, collections::BTreeMap, fmt, rc::Rc};

use serde_json::Value;

use super::{
    Ruleset,
    condition::{self, Condition},
};
use crate::event::{EventBody, json};

/// A user's rules, ready to be asked. Only those that are enabled.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    rules: Vec<Compiled>,
    conditions: usize,
}

#[derive(Clone, Debug, PartialEq)]
struct Compiled {
    conditions: Vec<Condition>,
    actions: Vec<Value>,
    notifies: bool,
    highlights: bool,
}

/// What is to be done about an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer<'a> {
    /// The actions of the rule that holds.
    pub actions: &'a [Value],
    /// Whether the user is notified.
    pub notifies: bool,
    /// Whether the event is highlighted besides.
    pub highlights: bool,
}

/// What rules ask of a room, at an event.
pub struct Room<'a> {
    /// Whose rules they are.
    pub user_id: &'a str,
    /// His name in the room.
    pub display_name: Option<&'a str>,
    /// How many are joined.
    pub members: u64,
    /// Whether the sender may notify in a way of this name.
    pub may_notify: &'a dyn Fn(&str) -> bool,
}

impl fmt::Debug for Room<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room")
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

/// An event that rules are asked about. What one rule has looked up the next ones need not.
#[derive(Debug)]
pub struct Event<'a> {
    pub(super) body: &'a EventBody,
    texts: RefCell<BTreeMap<String, Option<Text>>>,
}

/// A text in lower case.
type Text = Rc<[char]>;

impl<'a> Event<'a> {
    /// Of a stored event.
    pub fn new(body: &'a EventBody) -> Self {
        Self {
            body,
            texts: RefCell::default(),
        }
    }

    /// A property, as canonical JSON.
    pub(super) fn property(&self, path: &[String]) -> Option<&'a str> {
        path.iter()
            .try_fold(self.body.json(), |object, key| json::get(object, key))
    }

    /// A property that is a text.
    pub(super) fn text(&self, key: &str, path: &[String]) -> Option<Text> {
        if let Some(known) = self.texts.borrow().get(key) {
            return known.clone();
        }
        // The create event of a room whose id is made of it does not say it.
        let found = match key {
            "room_id" => Some(lower(self.body.room_id().as_str())),
            _ => self.property(path).and_then(json::string).map(|text| lower(&text)),
        };
        self.texts.borrow_mut().insert(key.to_owned(), found.clone());
        found
    }
}

fn lower(text: &str) -> Text {
    text.chars().flat_map(char::to_lowercase).collect()
}

impl Rules {
    /// Makes rules ready.
    pub fn compile(rules: &Ruleset) -> Self {
        let enabled = rules.iter().filter(|(_, rule)| rule.enabled);
        let rules: Vec<Compiled> = enabled
            .map(|(kind, rule)| {
                let notifies = rule.actions.iter().any(|action| action == "notify");
                Compiled {
                    conditions: condition::compile(kind, rule),
                    actions: rule.actions.clone(),
                    notifies,
                    highlights: notifies && rule.actions.iter().any(is_highlight),
                }
            })
            .collect();
        let conditions = rules.iter().map(|rule| rule.conditions.len() + 1).sum();
        Self { rules, conditions }
    }

    /// What the first rule that holds says of an event; none if none holds, or if the user has sent it himself.
    pub fn ask(&self, event: &Event<'_>, room: &Room<'_>) -> Option<Answer<'_>> {
        if event.body.sender().as_str() == room.user_id {
            return None;
        }
        let holds = |rule: &&Compiled| rule.conditions.iter().all(|condition| condition.holds(event, room));
        self.rules.iter().find(holds).map(|rule| Answer {
            actions: &rule.actions,
            notifies: rule.notifies,
            highlights: rule.highlights,
        })
    }

    /// About how much work it is to ask about an event, in bytes looked at.
    pub fn cost(&self, event: &EventBody) -> usize {
        self.conditions.saturating_mul(event.json().len())
    }

    /// Whether any rule asks for this.
    pub fn need(&self, what: Needs) -> bool {
        let mut conditions = self.rules.iter().flat_map(|rule| &rule.conditions);
        conditions.any(|condition| condition.needs() == Some(what))
    }
}

/// What a rule may need to know of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// How many are in it.
    Members,
    /// What the user is called there.
    DisplayName,
    /// Who may notify everybody.
    PowerLevels,
}

fn is_highlight(action: &Value) -> bool {
    action.get("set_tweak").is_some_and(|tweak| tweak == "highlight")
        && action.get("value") != Some(&Value::Bool(false))
}
