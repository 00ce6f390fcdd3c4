//! The top-level members of an event, found in one walk over its text.

use std::{borrow::Cow, ops::Range};

use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};

use super::{EventError, json};
use crate::room_version::{RedactsLocation, ReferenceFormat, RoomIdFormat, RoomVersionRules};

/// The members as slices of a canonical event.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    text: &'a str,
    auth_events: Option<&'a str>,
    content: Option<Range<usize>>,
    depth: Option<&'a str>,
    event_id: Option<&'a str>,
    hashes: Option<&'a str>,
    origin_server_ts: Option<&'a str>,
    prev_events: Option<&'a str>,
    redacts: Option<&'a str>,
    room_id: Option<&'a str>,
    sender: Option<&'a str>,
    signatures: Option<&'a str>,
    state_key: Option<&'a str>,
    kind: Option<&'a str>,
}

impl<'a> Fields<'a> {
    pub(super) fn scan(text: &'a str) -> Self {
        let mut fields = Self {
            text,
            ..Self::default()
        };
        for member in json::members(text) {
            let slot = match member.raw_key {
                "auth_events" => &mut fields.auth_events,
                "content" => {
                    fields.content = Some(member.value_span);
                    continue;
                }
                "depth" => &mut fields.depth,
                "event_id" => &mut fields.event_id,
                "hashes" => &mut fields.hashes,
                "origin_server_ts" => &mut fields.origin_server_ts,
                "prev_events" => &mut fields.prev_events,
                "redacts" => &mut fields.redacts,
                "room_id" => &mut fields.room_id,
                "sender" => &mut fields.sender,
                "signatures" => &mut fields.signatures,
                "state_key" => &mut fields.state_key,
                "type" => &mut fields.kind,
                _ => continue,
            };
            *slot = Some(member.value);
        }
        fields
    }

    pub(super) fn kind(&self) -> Result<Cow<'a, str>, EventError> {
        required_string(self.kind, "type")
    }

    pub(super) fn state_key(&self) -> Result<Option<Cow<'a, str>>, EventError> {
        self.state_key
            .map(|value| json::string(value).ok_or(EventError::Invalid("state_key")))
            .transpose()
    }

    pub(super) fn sender(&self) -> Result<OwnedUserId, EventError> {
        let sender = required_string(self.sender, "sender")?;
        UserId::parse(&*sender).map_err(|_| EventError::Invalid("sender"))
    }

    /// The `event_id` written in the event.
    pub(super) fn event_id(&self) -> Result<OwnedEventId, EventError> {
        let event_id = required_string(self.event_id, "event_id")?;
        EventId::parse(&*event_id).map_err(|_| EventError::Invalid("event_id"))
    }

    pub(super) fn room_id(
        &self,
        rules: &RoomVersionRules,
        kind: &str,
        event_id: &EventId,
    ) -> Result<OwnedRoomId, EventError> {
        let is_create = rules.room_id == RoomIdFormat::CreateEventHash && kind == "m.room.create";
        if is_create {
            return room_id_of_create(event_id);
        }
        let room_id = required_string(self.room_id, "room_id")?;
        RoomId::parse(&*room_id).map_err(|_| EventError::Invalid("room_id"))
    }

    pub(super) fn content(&self) -> Result<Range<usize>, EventError> {
        let span = self.content.clone().ok_or(EventError::Missing("content"))?;
        if !json::is_object(&self.text[span.clone()]) {
            return Err(EventError::Invalid("content"));
        }
        Ok(span)
    }

    /// Negative times are kept in the event, but count as 0: refusing what others accept would split the room.
    pub(super) fn origin_server_ts(&self) -> Result<u64, EventError> {
        let value = required_integer(self.origin_server_ts, "origin_server_ts")?;
        Ok(u64::try_from(value).unwrap_or(0))
    }

    pub(super) fn depth(&self) -> Result<i64, EventError> {
        let depth = required_integer(self.depth, "depth")?;
        if depth < 0 {
            return Err(EventError::Invalid("depth"));
        }
        Ok(depth)
    }

    pub(super) fn prev_events(&self, rules: &RoomVersionRules) -> Result<Vec<OwnedEventId>, EventError> {
        references(self.prev_events, "prev_events", rules.references)
    }

    pub(super) fn auth_events(&self, rules: &RoomVersionRules) -> Result<Vec<OwnedEventId>, EventError> {
        references(self.auth_events, "auth_events", rules.references)
    }

    /// What a redaction redacts; one that names nothing or nonsense redacts nothing.
    pub(super) fn redacts(&self, rules: &RoomVersionRules, kind: &str) -> Option<OwnedEventId> {
        if kind != "m.room.redaction" {
            return None;
        }
        let value = match rules.redacts {
            RedactsLocation::TopLevel => self.redacts?,
            RedactsLocation::Content => json::get(&self.text[self.content.clone()?], "redacts")?,
        };
        EventId::parse(&*json::string(value)?).ok()
    }

    /// The content hash the event claims, in base64.
    pub(super) fn content_hash(&self) -> Result<Cow<'a, str>, EventError> {
        let hashes = self.hashes.ok_or(EventError::Missing("hashes"))?;
        json::get(hashes, "sha256")
            .and_then(json::string)
            .ok_or(EventError::Invalid("hashes"))
    }

    pub(super) fn signatures(&self) -> Result<&'a str, EventError> {
        let signatures = self.signatures.ok_or(EventError::Missing("signatures"))?;
        if !json::is_object(signatures) {
            return Err(EventError::Invalid("signatures"));
        }
        Ok(signatures)
    }
}

/// The id of the room that a create event makes: its own, with the other sigil.
pub(super) fn room_id_of_create(event_id: &EventId) -> Result<OwnedRoomId, EventError> {
    let hash = event_id.as_str().strip_prefix('$').unwrap_or_default();
    RoomId::parse(format!("!{hash}")).map_err(|_| EventError::Invalid("room_id"))
}

fn required_string<'a>(value: Option<&'a str>, field: &'static str) -> Result<Cow<'a, str>, EventError> {
    json::string(value.ok_or(EventError::Missing(field))?).ok_or(EventError::Invalid(field))
}

fn required_integer(value: Option<&str>, field: &'static str) -> Result<i64, EventError> {
    json::integer(value.ok_or(EventError::Missing(field))?).ok_or(EventError::Invalid(field))
}

fn references(
    value: Option<&str>,
    field: &'static str,
    format: ReferenceFormat,
) -> Result<Vec<OwnedEventId>, EventError> {
    let value = value.ok_or(EventError::Missing(field))?;
    if !json::is_array(value) {
        return Err(EventError::Invalid(field));
    }
    json::elements(value)
        .map(|element| {
            let id = match format {
                ReferenceFormat::Ids => json::string(element),
                ReferenceFormat::HashedPairs => json::elements(element).next().and_then(json::string),
            };
            let id = id.ok_or(EventError::Invalid(field))?;
            EventId::parse(&*id).map_err(|_| EventError::Invalid(field))
        })
        .collect()
}
