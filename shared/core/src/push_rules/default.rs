//! The rules that every user begins with, and what they make of an event for all members of a room at once.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#predefined-rules>

use ruma::UserId;
use serde_json::{Value, json};

use super::{Kind, Rule, Ruleset};
use crate::event::json;

/// The rule that comes before all others, the user's own too.
pub(super) const MASTER: &str = ".m.rule.master";

/// Most users that one event can mention; those named beyond are not told of it.
pub const MENTIONS_MAX: usize = 50;

/// What every user begins with.
pub fn server_default(user_id: &UserId) -> Ruleset {
    let mut rules = Ruleset::default();
    *rules.of_mut(Kind::Override) = overrides(user_id);
    *rules.of_mut(Kind::Underride) = underrides();
    rules
}

fn overrides(user_id: &UserId) -> Vec<Rule> {
    let sound = json!({"set_tweak": "sound", "value": "default"});
    let highlight = json!({"set_tweak": "highlight"});
    let notify = json!("notify");
    let master = Rule {
        enabled: false,
        ..rule(MASTER, vec![], vec![])
    };
    vec![
        master,
        rule(
            ".m.rule.suppress_notices",
            vec![matches("content.msgtype", "m.notice")],
            vec![],
        ),
        rule(
            ".m.rule.invite_for_me",
            vec![
                matches("type", "m.room.member"),
                matches("content.membership", "invite"),
                matches("state_key", user_id.as_str()),
            ],
            vec![notify.clone(), sound.clone()],
        ),
        rule(".m.rule.member_event", vec![matches("type", "m.room.member")], vec![]),
        rule(
            ".m.rule.is_user_mention",
            vec![json!({
                "kind": "event_property_contains",
                "key": r"content.m\.mentions.user_ids",
                "value": user_id,
            })],
            vec![notify.clone(), sound, highlight.clone()],
        ),
        rule(
            ".m.rule.is_room_mention",
            vec![
                json!({"kind": "event_property_is", "key": r"content.m\.mentions.room", "value": true}),
                json!({"kind": "sender_notification_permission", "key": "room"}),
            ],
            vec![notify.clone(), highlight.clone()],
        ),
        rule(
            ".m.rule.tombstone",
            vec![matches("type", "m.room.tombstone"), matches("state_key", "")],
            vec![notify, highlight],
        ),
        rule(".m.rule.reaction", vec![matches("type", "m.reaction")], vec![]),
        rule(
            ".m.rule.room.server_acl",
            vec![matches("type", "m.room.server_acl"), matches("state_key", "")],
            vec![],
        ),
        rule(
            ".m.rule.suppress_edits",
            vec![json!({
                "kind": "event_property_is",
                "key": r"content.m\.relates_to.rel_type",
                "value": "m.replace",
            })],
            vec![],
        ),
    ]
}

fn underrides() -> Vec<Rule> {
    let of_type = |kind: &str| matches("type", kind);
    let two_members = || json!({"kind": "room_member_count", "is": "2"});
    let notify = || json!("notify");
    let sound = |value: &str| json!({"set_tweak": "sound", "value": value});
    vec![
        rule(
            ".m.rule.call",
            vec![of_type("m.call.invite")],
            vec![notify(), sound("ring")],
        ),
        rule(
            ".m.rule.encrypted_room_one_to_one",
            vec![two_members(), of_type("m.room.encrypted")],
            vec![notify(), sound("default")],
        ),
        rule(
            ".m.rule.room_one_to_one",
            vec![two_members(), of_type("m.room.message")],
            vec![notify(), sound("default")],
        ),
        rule(".m.rule.message", vec![of_type("m.room.message")], vec![notify()]),
        rule(".m.rule.encrypted", vec![of_type("m.room.encrypted")], vec![notify()]),
    ]
}

fn rule(rule_id: &str, conditions: Vec<Value>, actions: Vec<Value>) -> Rule {
    Rule {
        rule_id: rule_id.to_owned(),
        default: true,
        enabled: true,
        actions,
        conditions: Some(conditions),
        pattern: None,
    }
}

fn matches(key: &str, pattern: &str) -> Value {
    json!({"kind": "event_match", "key": key, "pattern": pattern})
}

/// What an event does, by the default rules, to the members of its room other than its sender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Whether it notifies all of them.
    pub notifies: bool,
    /// Whether it highlights the room for all of them.
    pub highlights: bool,
    /// Whom it highlights the room for, and notifies, besides; none if it does so for all. At most [`MENTIONS_MAX`], each once.
    pub mentions: Vec<String>,
}

impl Effect {
    /// The effect of an event with this type, state key and canonical content. `may_mention_room` is whether its sender may notify the whole room; it is
    /// asked only if he wants to.
    pub fn of(kind: &str, state_key: Option<&str>, content: &str, may_mention_room: impl FnOnce() -> bool) -> Self {
        let text = |key: &str| json::get(content, key).and_then(json::string);
        let is_notice = text("msgtype").is_some_and(|msgtype| msgtype.eq_ignore_ascii_case("m.notice"));
        if is_notice || kind.eq_ignore_ascii_case("m.room.member") {
            return Self::default();
        }
        let is = |name: &str| kind.eq_ignore_ascii_case(name);
        let mentioned = json::get(content, "m.mentions");
        let wants_room = mentioned.and_then(|mentioned| json::get(mentioned, "room")) == Some("true");
        let highlights = wants_room && may_mention_room() || is("m.room.tombstone") && state_key == Some("");
        if highlights {
            return Self {
                notifies: true,
                highlights,
                mentions: Vec::new(),
            };
        }
        let relation = json::get(content, "m.relates_to").and_then(|relation| json::get(relation, "rel_type"));
        let is_edit = relation.and_then(json::string).as_deref() == Some("m.replace");
        let is_said = is("m.call.invite") || is("m.room.message") || is("m.room.encrypted");
        Self {
            notifies: is_said && !is_edit,
            highlights,
            mentions: mentioned.map(users).unwrap_or_default(),
        }
    }
}

fn users(mentioned: &str) -> Vec<String> {
    let Some(list) = json::get(mentioned, "user_ids") else {
        return Vec::new();
    };
    let mut users: Vec<String> = Vec::new();
    for user in json::elements(list).filter_map(json::string) {
        if users.len() == MENTIONS_MAX {
            break;
        }
        if !users.iter().any(|known| *known == user) {
            users.push(user.into_owned());
        }
    }
    users
}

/// Whether an event may highlight a room for somebody by the default rules: a look at its type and at whether it mentions anybody.
pub fn may_highlight(kind: &str, content: &str) -> bool {
    kind.eq_ignore_ascii_case("m.room.tombstone") || json::get(content, "m.mentions").is_some()
}
