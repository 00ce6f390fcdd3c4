//! The one event type, its formats, hashes and signatures.
//!
//! An [`EventBody`] comes from three places only: [`NewEvent::seal`] (this server says something),
//! [`ParsedEvent::verify`] (another server said something) and [`EventBody::load`] (we stored it). Whatever storage is
//! given has therefore been checked. It does not know whether the event was accepted: that changes, and is kept apart.

use std::ops::Range;

use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;

pub mod canonical;
mod client;
mod fields;
pub mod hash;
pub mod json;
pub mod limits;
pub mod number;
mod parse;
pub mod redact;
mod relation;
mod seal;
pub mod sign;

pub use self::{
    canonical::JsonError,
    client::ClientFormat,
    parse::{ParsedEvent, PublicKey},
    relation::{Relation, RelationKind, relation},
    seal::{Legacy, NewEvent},
    sign::{KeyError, SignatureError, SigningKey, VerifyKey},
};
use self::{fields::Fields, hash::Hash};
use crate::room_version::{RoomVersion, RoomVersionRules};

/// What is wrong with an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not the JSON the room version wants.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A field that every event has is not there.
    #[error("the event has no `{0}`")]
    Missing(&'static str),
    /// A field is of another type than it should be, or has a value it cannot have.
    #[error("the event's `{0}` is not valid")]
    Invalid(&'static str),
    /// A field is longer than [`limits::MAX_FIELD_BYTES`].
    #[error("the event's `{field}` has {bytes} bytes, more than {max}", max = limits::MAX_FIELD_BYTES)]
    FieldTooLong {
        /// Which one.
        field: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// The event is larger than [`limits::MAX_EVENT_BYTES`].
    #[error("the event has {bytes} bytes, more than {max}", max = limits::MAX_EVENT_BYTES)]
    TooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// The event names too many other events.
    #[error("the event has {count} {field}, more than allowed")]
    TooManyReferences {
        /// `prev_events` or `auth_events`.
        field: &'static str,
        /// How many.
        count: usize,
    },
    /// A signature that is needed is missing or wrong.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// What a membership event makes of a user. The discriminants are what the database and the log hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Membership {
    /// Asked into the room.
    Invite = 2,
    /// In the room.
    Join = 1,
    /// Asking to be let in.
    Knock = 5,
    /// Not in the room, by own wish or not.
    Leave = 3,
    /// Not in the room and not to come back.
    Ban = 4,
}

impl Membership {
    /// Every membership.
    pub const ALL: [Self; 5] = [Self::Invite, Self::Join, Self::Knock, Self::Leave, Self::Ban];

    /// As it is written in an event.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::Join => "join",
            Self::Knock => "knock",
            Self::Leave => "leave",
            Self::Ban => "ban",
        }
    }

    /// Reads what is written in an event.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|membership| membership.as_str() == text)
    }

    /// The number the database and the log hold.
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// Reads the number the database and the log hold.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|membership| membership.code() == code)
    }
}

/// An event, immutable.
#[derive(Clone, Debug, PartialEq)]
pub struct EventBody {
    event_id: OwnedEventId,
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    kind: Box<str>,
    state_key: Option<Box<str>>,
    /// Where `content` is in `json`.
    content: Range<usize>,
    origin_server_ts: u64,
    depth: i64,
    prev_events: Vec<OwnedEventId>,
    auth_events: Vec<OwnedEventId>,
    redacts: Option<OwnedEventId>,
    version: RoomVersion,
    json: Box<str>,
}

impl EventBody {
    /// Reads an event from our own database: trusted, so nothing is hashed or measured. A row that was damaged is an
    /// error here, rather than later for whoever reads it.
    pub fn load(event_id: OwnedEventId, rules: &RoomVersionRules, json: Vec<u8>) -> Result<Self, EventError> {
        let json = String::from_utf8(json).map_err(|_| JsonError::Utf8)?;
        serde_json::from_str::<IgnoredAny>(&json).map_err(|error| JsonError::Syntax(error.column()))?;
        Self::from_canonical(event_id, rules, json)
    }

    /// Reads an event from another server: checks format, limits and content hash, and finds its id. What comes out
    /// still needs its signatures verified.
    pub fn parse(json: &[u8], rules: &'static RoomVersionRules) -> Result<ParsedEvent, EventError> {
        ParsedEvent::parse(json, rules)
    }

    /// The body of an event whose JSON is canonical and without `unsigned`.
    fn from_canonical(event_id: OwnedEventId, rules: &RoomVersionRules, json: String) -> Result<Self, EventError> {
        let fields = Fields::scan(&json);
        let kind = fields.kind()?;
        Ok(Self {
            room_id: fields.room_id(rules, &kind, &event_id)?,
            sender: fields.sender()?,
            state_key: fields.state_key()?.map(Into::into),
            content: fields.content()?,
            origin_server_ts: fields.origin_server_ts()?,
            depth: fields.depth()?,
            prev_events: fields.prev_events(rules)?,
            auth_events: fields.auth_events(rules)?,
            redacts: fields.redacts(rules, &kind),
            kind: kind.into(),
            event_id,
            version: rules.version,
            json: json.into_boxed_str(),
        })
    }

    /// The version of its room, by whose rules it was read.
    pub fn version(&self) -> RoomVersion {
        self.version
    }

    /// The event's id.
    pub fn event_id(&self) -> &EventId {
        &self.event_id
    }

    /// The room the event is in; for a create event of version 12, the room it makes.
    pub fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    /// Who sent it.
    pub fn sender(&self) -> &UserId {
        &self.sender
    }

    /// The event's `type`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The event's `state_key`; none if it is no state event.
    pub fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    /// Whether it is the state event for this type and key.
    pub fn is_state(&self, kind: &str, state_key: &str) -> bool {
        &*self.kind == kind && self.state_key() == Some(state_key)
    }

    /// The event's `content`, canonical JSON.
    pub fn content(&self) -> &str {
        &self.json[self.content.clone()]
    }

    /// The event's `content` as a value to put into other JSON.
    pub fn content_raw(&self) -> Box<RawValue> {
        raw(self.content().to_owned())
    }

    /// The event's `content` as a type of the caller's.
    pub fn content_as<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.content())
    }

    /// The event's time by its sender's clock, in milliseconds since 1970; one before that counts as 0.
    pub fn origin_server_ts(&self) -> u64 {
        self.origin_server_ts
    }

    /// How far the event claims to be from the start of the room.
    pub fn depth(&self) -> i64 {
        self.depth
    }

    /// The events this one comes after.
    pub fn prev_events(&self) -> &[OwnedEventId] {
        &self.prev_events
    }

    /// The events that allow this one.
    pub fn auth_events(&self) -> &[OwnedEventId] {
        &self.auth_events
    }

    /// The event this one redacts, if it is a redaction.
    pub fn redacts(&self) -> Option<&EventId> {
        self.redacts.as_deref()
    }

    /// The event in federation format, canonical, with hashes and signatures and without `unsigned`. In versions from
    /// 3 on, the id is not in it.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// What a membership event makes of its target; none if it is no such event or makes no sense.
    pub fn membership(&self) -> Option<Membership> {
        if &*self.kind != "m.room.member" {
            return None;
        }
        let membership = json::string(json::get(self.content(), "membership")?)?;
        Membership::parse(&membership)
    }

    /// A string among the members of `content`.
    pub fn content_string(&self, key: &str) -> Option<String> {
        json::string(json::get(self.content(), key)?).map(std::borrow::Cow::into_owned)
    }

    /// The hash that others refer to this event by.
    pub fn reference_hash(&self, rules: &RoomVersionRules) -> Hash {
        hash::sha256(&redact::signed_form(&self.json, &self.kind, rules.redaction))
    }

    /// The event as it is stored and shown once it is redacted.
    #[must_use]
    pub fn redacted(&self, rules: &RoomVersionRules) -> Self {
        let json = redact::redact(&self.json, &self.kind, rules.redaction);
        Self::load(self.event_id.clone(), rules, json).expect("redaction keeps every field that an event needs")
    }
}

/// JSON of our own as a raw value.
fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).expect("an event's JSON is well-formed")
}

#[cfg(test)]
mod tests;
