//! How an event relates to another one.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#forming-relationships-between-events>. What does not have the form of a relation relates to nothing.

use std::borrow::Cow;

use ruma::{EventId, OwnedEventId, UserId};

use super::{EventBody, hash::Hash, hash::sha256_parts, json};

/// The kinds of relation. The discriminants are what the database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RelationKind {
    /// One that the specification does not know.
    Other = 0,
    /// `m.annotation`: a reaction.
    Annotation = 1,
    /// `m.replace`: an edit.
    Replace = 2,
    /// `m.reference`.
    Reference = 3,
    /// `m.thread`: a reply in the thread that begins with the other event.
    Thread = 4,
}

impl RelationKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Other,
        Self::Annotation,
        Self::Replace,
        Self::Reference,
        Self::Thread,
    ];

    /// The kind of a `rel_type`.
    pub fn of(rel_type: &str) -> Self {
        match rel_type {
            "m.annotation" => Self::Annotation,
            "m.replace" => Self::Replace,
            "m.reference" => Self::Reference,
            "m.thread" => Self::Thread,
            _ => Self::Other,
        }
    }

    /// Whether the server sums such relations up in the event they point to.
    pub const fn is_aggregated(self) -> bool {
        match self {
            Self::Replace | Self::Reference | Self::Thread => true,
            Self::Other | Self::Annotation => false,
        }
    }

    /// The number the database holds.
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// Reads the number the database holds.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// What `m.relates_to` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation<'a> {
    /// The event it points to.
    pub parent: OwnedEventId,
    /// `rel_type`.
    pub rel_type: Cow<'a, str>,
    /// `key`, which an annotation has.
    pub key: Option<Cow<'a, str>>,
}

impl Relation<'_> {
    /// Its kind.
    pub fn kind(&self) -> RelationKind {
        RelationKind::of(&self.rel_type)
    }

    /// What two annotations that say the same have in common; none for other relations.
    pub fn annotation_hash(&self, event_type: &str, sender: &UserId) -> Option<Hash> {
        let key = self.key.as_ref().filter(|_| self.kind() == RelationKind::Annotation)?;
        // No part but the last can have a NUL in it and end early: ids have none, and the length comes before the type.
        let length = event_type.len().to_be_bytes();
        let parent = self.parent.as_bytes();
        Some(sha256_parts(&[
            parent,
            b"\0",
            sender.as_bytes(),
            b"\0",
            &length,
            event_type.as_bytes(),
            key.as_bytes(),
        ]))
    }
}

/// What a canonical `content` says of a relation. A rich reply has no `rel_type`, and is none.
pub fn relation(content: &str) -> Option<Relation<'_>> {
    // Nearly all content has nothing of the kind, and one search over the bytes tells.
    if !content.contains("\"m.relates_to\"") {
        return None;
    }
    let relates_to = json::get(content, "m.relates_to").filter(|value| json::is_object(value))?;
    let text = |key| json::get(relates_to, key).and_then(json::string);
    let relation = Relation {
        parent: EventId::parse(&*text("event_id")?).ok()?,
        rel_type: text("rel_type")?,
        key: text("key"),
    };
    let is_whole = relation.kind() != RelationKind::Annotation || relation.key.is_some();
    is_whole.then_some(relation)
}

impl EventBody {
    /// How it relates to another event of its room.
    pub fn relation(&self) -> Option<Relation<'_>> {
        relation(self.content())
    }

    /// Whether `edit` is a valid replacement of this event.
    ///
    /// <https://spec.matrix.org/v1.19/client-server-api/#validity-of-replacement-events>
    pub fn is_replaced_by(&self, edit: &Self) -> bool {
        let points_here =
            |relation: &Relation<'_>| relation.kind() == RelationKind::Replace && relation.parent == self.event_id();
        let is_edit = |body: &Self| {
            body.relation()
                .is_some_and(|relation| relation.kind() == RelationKind::Replace)
        };
        // What an encrypted edit replaces the content with is in what only its readers can open.
        let has_new_content = || {
            edit.kind() == "m.room.encrypted" || json::get(edit.content(), "m.new_content").is_some_and(json::is_object)
        };
        edit.relation().as_ref().is_some_and(points_here)
            && self.room_id() == edit.room_id()
            && self.sender() == edit.sender()
            && self.kind() == edit.kind()
            && self.state_key().is_none()
            && edit.state_key().is_none()
            && !is_edit(self)
            && has_new_content()
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use serde_json::{Value, json};

    use super::*;
    use crate::room_version::RoomVersion;

    fn event(id: &str, more: &Value) -> EventBody {
        let mut event = json!({
            "auth_events": [], "content": {"body": "x"}, "depth": 1, "origin_server_ts": 1, "prev_events": [],
            "room_id": "!r:x", "sender": "@a:x", "type": "m.room.message",
        });
        let more = more.as_object().expect("an object").clone();
        event.as_object_mut().expect("an object").extend(more);
        let id = EventId::parse(id).expect("an id");
        EventBody::load(id, RoomVersion::V11.rules(), event.to_string().into_bytes()).expect("an event")
    }

    fn edit(more: &Value) -> EventBody {
        let mut content = json!({
            "content": {"body": "* y", "m.new_content": {"body": "y"}, "m.relates_to": {"event_id": "$root", "rel_type": "m.replace"}},
        });
        let more = more.as_object().expect("an object").clone();
        content.as_object_mut().expect("an object").extend(more);
        event("$edit", &content)
    }

    #[test]
    fn what_has_not_the_form_of_a_relation_relates_to_nothing() {
        for content in [
            json!({}),
            json!({"body": "\"m.relates_to\""}),
            json!({"m.relates_to": "$root"}),
            json!({"m.relates_to": {"event_id": "$root"}}),
            json!({"m.relates_to": {"m.in_reply_to": {"event_id": "$root"}}}),
            json!({"m.relates_to": {"rel_type": "m.thread"}}),
            json!({"m.relates_to": {"event_id": 5, "rel_type": "m.thread"}}),
            json!({"m.relates_to": {"event_id": "root", "rel_type": "m.thread"}}),
            json!({"m.relates_to": {"event_id": "$root", "rel_type": ["m.thread"]}}),
            json!({"m.relates_to": {"event_id": "$root", "rel_type": "m.annotation"}}),
            json!({"below": {"m.relates_to": {"event_id": "$root", "rel_type": "m.thread"}}}),
        ] {
            assert_eq!(relation(&content.to_string()), None, "{content}");
        }
        let thread = json!({"m.relates_to": {"event_id": "$root", "rel_type": "m.thread"}}).to_string();
        let found = relation(&thread).expect("a relation");
        assert_eq!((found.parent.as_str(), found.kind()), ("$root", RelationKind::Thread));
        let own = json!({"m.relates_to": {"event_id": "$root", "rel_type": "org.example.own\u{0}"}}).to_string();
        let found = relation(&own).expect("a relation");
        assert_eq!(
            (&*found.rel_type, found.kind()),
            ("org.example.own\u{0}", RelationKind::Other)
        );
    }

    #[test]
    fn annotations_are_told_apart_by_event_type_sender_and_key() {
        let hash = |parent: &str, kind: &str, sender: &UserId, key: &str| {
            let content =
                json!({"m.relates_to": {"event_id": parent, "key": key, "rel_type": "m.annotation"}}).to_string();
            relation(&content).and_then(|relation| relation.annotation_hash(kind, sender))
        };
        let (alice, bob) = (user_id!("@a:x"), user_id!("@b:x"));
        let one = hash("$root", "m.reaction", alice, "+1");
        assert!(one.is_some());
        assert_eq!(one, hash("$root", "m.reaction", alice, "+1"));
        for other in [
            hash("$other", "m.reaction", alice, "+1"),
            hash("$root", "m.reactio", alice, "n+1"),
            hash("$root", "m.reaction", bob, "+1"),
            hash("$root", "m.reaction", alice, "-1"),
        ] {
            assert_ne!(one, other);
        }
        let thread = json!({"m.relates_to": {"event_id": "$root", "key": "x", "rel_type": "m.thread"}}).to_string();
        assert_eq!(
            relation(&thread).and_then(|relation| relation.annotation_hash("t", alice)),
            None
        );
    }

    #[test]
    fn only_a_valid_edit_replaces() {
        let root = event("$root", &json!({}));
        assert!(root.is_replaced_by(&edit(&json!({}))));
        for (what, invalid) in [
            ("sender", json!({"sender": "@b:x"})),
            ("room", json!({"room_id": "!other:x"})),
            ("type", json!({"type": "m.sticker"})),
            ("state", json!({"state_key": ""})),
            (
                "new content",
                json!({"content": {"m.relates_to": {"event_id": "$root", "rel_type": "m.replace"}}}),
            ),
            (
                "target",
                json!({"content": {"m.new_content": {}, "m.relates_to": {"event_id": "$else", "rel_type": "m.replace"}}}),
            ),
            (
                "kind",
                json!({"content": {"m.new_content": {}, "m.relates_to": {"event_id": "$root", "rel_type": "m.thread"}}}),
            ),
        ] {
            assert!(!root.is_replaced_by(&edit(&invalid)), "{what}");
        }
        let state = event("$root", &json!({"state_key": ""}));
        assert!(!state.is_replaced_by(&edit(&json!({}))), "state is not edited");
        let first = edit(&json!({}));
        let second =
            json!({"content": {"m.new_content": {}, "m.relates_to": {"event_id": "$edit", "rel_type": "m.replace"}}});
        assert!(
            !first.is_replaced_by(&event("$again", &second)),
            "an edit is not edited"
        );
        let encrypted = event("$root", &json!({"type": "m.room.encrypted"}));
        let content = json!({"m.relates_to": {"event_id": "$root", "rel_type": "m.replace"}});
        assert!(encrypted.is_replaced_by(&edit(&json!({"type": "m.room.encrypted", "content": content}))));
    }
}
