//! Events of our own: from what the server wants to say to a hashed and signed event.

use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomId, ServerName, UserId};
use serde_json::value::RawValue;

use super::{
    EventBody, EventError, JsonError, SigningKey,
    canonical::canonicalize,
    fields::room_id_of_create,
    hash::{self, Hash},
    json, limits,
    number::MAX_INTEGER,
    redact, sign,
};
use crate::room_version::{EventIdFormat, Numbers, RedactsLocation, ReferenceFormat, RoomIdFormat, RoomVersionRules};

/// Length of a hash in unpadded base64.
const HASH_CHARS: usize = 43;

/// Length of a signature in unpadded base64.
const SIGNATURE_CHARS: usize = 86;

/// An event this server wants to send.
#[derive(Clone, Copy, Debug)]
pub struct NewEvent<'a> {
    /// The room; none for a create event of a version whose rooms are named by it.
    pub room_id: Option<&'a RoomId>,
    /// Who sends it.
    pub sender: &'a UserId,
    /// The event's `type`.
    pub kind: &'a str,
    /// The event's `state_key`, if it is to be a state event.
    pub state_key: Option<&'a str>,
    /// The event's `content`; need not be canonical.
    pub content: &'a RawValue,
    /// The events it comes after.
    pub prev_events: &'a [OwnedEventId],
    /// The events that allow it, see [`auth_types`](crate::auth::auth_types).
    pub auth_events: &'a [OwnedEventId],
    /// One more than the largest depth of `prev_events`; the largest depth there is, if that would be beyond it.
    pub depth: i64,
    /// Now, in milliseconds since 1970.
    pub origin_server_ts: u64,
    /// What it redacts, if it is a redaction; written where the room version wants it.
    pub redacts: Option<&'a EventId>,
    /// What only room versions 1 and 2 need.
    pub legacy: Option<Legacy<'a>>,
}

/// What only room versions 1 and 2 need, whose events carry their ids and the hashes of those they refer to.
#[derive(Clone, Copy)]
pub struct Legacy<'a> {
    /// Something unique on this server, the part of the event's id before the colon.
    pub localpart: &'a str,
    /// The [reference hash](EventBody::reference_hash) of each of `prev_events` and `auth_events`, as far as it is known.
    pub hashes: &'a dyn Fn(&EventId) -> Option<Hash>,
}

impl std::fmt::Debug for Legacy<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Legacy")
            .field("localpart", &self.localpart)
            .finish_non_exhaustive()
    }
}

impl NewEvent<'_> {
    /// Makes the event: checks limits, hashes, signs, finds the id.
    ///
    /// The event is written once, with room left for hash and signature; both are filled in afterwards.
    pub fn seal(
        self,
        rules: &RoomVersionRules,
        key: &SigningKey,
        server: &ServerName,
    ) -> Result<EventBody, EventError> {
        self.check_limits(rules)?;
        let assigned_id = self.assigned_id(rules, server)?;
        let mut draft = self.write(rules, key, server, assigned_id.as_deref())?;
        limits::check_size(draft.json.len())?;

        let content_hash = hash::sha256_parts(&[
            &draft.json[..draft.hashes],
            &draft.json[draft.hashes_end..draft.signatures],
            &draft.json[draft.signatures_end..],
        ]);
        fill(&mut draft.json, draft.hash_at, &hash::encode_base64(&content_hash));
        let json = String::from_utf8(draft.json).map_err(|_| JsonError::Utf8)?;
        let signed = redact::signed_form(&json, self.kind, rules.redaction);
        let event_id = match assigned_id {
            Some(event_id) => event_id,
            None => hash_id(rules.event_id, &hash::sha256(&signed))?,
        };
        let mut json = json.into_bytes();
        fill(&mut json, draft.signature_at, &hash::encode_base64(&key.sign(&signed)));
        let json = String::from_utf8(json).map_err(|_| JsonError::Utf8)?;

        Ok(EventBody {
            room_id: self.room_id_of(&event_id)?,
            event_id,
            sender: self.sender.to_owned(),
            kind: self.kind.into(),
            state_key: self.state_key.map(Into::into),
            content: draft.content,
            origin_server_ts: self.origin_server_ts,
            depth: self.depth.min(limits::max_depth(rules.numbers)),
            prev_events: self.prev_events.to_vec(),
            auth_events: self.auth_events.to_vec(),
            redacts: self
                .redacts
                .filter(|_| self.kind == "m.room.redaction")
                .map(ToOwned::to_owned),
            version: rules.version,
            json: json.into_boxed_str(),
        })
    }

    fn check_limits(&self, rules: &RoomVersionRules) -> Result<(), EventError> {
        limits::check_field("type", self.kind)?;
        limits::check_field("state_key", self.state_key.unwrap_or_default())?;
        limits::check_field("sender", self.sender.as_str())?;
        limits::check_references(self.prev_events.len(), self.auth_events.len())?;
        let largest_ts = match rules.numbers {
            Numbers::Strict => MAX_INTEGER.unsigned_abs(),
            Numbers::Lenient => i64::MAX.unsigned_abs(),
        };
        if self.origin_server_ts > largest_ts {
            return Err(EventError::Invalid("origin_server_ts"));
        }
        if self.depth < 0 {
            return Err(EventError::Invalid("depth"));
        }
        let is_unnamed = rules.room_id == RoomIdFormat::CreateEventHash && self.kind == "m.room.create";
        match self.room_id {
            Some(_) if is_unnamed => Err(EventError::Invalid("room_id")),
            Some(room_id) => limits::check_field("room_id", room_id.as_str()),
            None if is_unnamed => Ok(()),
            None => Err(EventError::Missing("room_id")),
        }
    }

    /// The event's id in the versions in which its sender chooses it.
    fn assigned_id(&self, rules: &RoomVersionRules, server: &ServerName) -> Result<Option<OwnedEventId>, EventError> {
        if rules.event_id != EventIdFormat::Assigned {
            return Ok(None);
        }
        let legacy = self.legacy.ok_or(EventError::Missing("event_id"))?;
        let event_id = format!("${}:{server}", legacy.localpart);
        limits::check_field("event_id", &event_id)?;
        EventId::parse(event_id)
            .map(Some)
            .map_err(|_| EventError::Invalid("event_id"))
    }

    fn room_id_of(&self, event_id: &EventId) -> Result<OwnedRoomId, EventError> {
        match self.room_id {
            Some(room_id) => Ok(room_id.to_owned()),
            None => room_id_of_create(event_id),
        }
    }

    /// Writes the event in canonical order, with zeroes in place of hash and signature.
    fn write(
        &self,
        rules: &RoomVersionRules,
        key: &SigningKey,
        server: &ServerName,
        event_id: Option<&EventId>,
    ) -> Result<Draft, EventError> {
        let mut json = Vec::with_capacity(self.content.get().len() + ROOM_FOR_THE_REST);
        json.extend_from_slice(br#"{"auth_events":"#);
        self.write_references(&mut json, rules.references, self.auth_events);
        json.extend_from_slice(br#","content":"#);
        let content = json.len();
        self.write_content(&mut json, rules)?;
        let content = content..json.len();
        json.extend_from_slice(br#","depth":"#);
        push_display(&mut json, self.depth.min(limits::max_depth(rules.numbers)));
        if let Some(event_id) = event_id {
            push_string(&mut json, ",\"event_id\":", event_id.as_str());
        }
        let hashes = json.len();
        json.extend_from_slice(br#","hashes":{"sha256":""#);
        let hash_at = json.len();
        json.extend_from_slice(&[b'0'; HASH_CHARS]);
        json.extend_from_slice(br#""}"#);
        let hashes_end = json.len();
        json.extend_from_slice(br#","origin_server_ts":"#);
        push_display(&mut json, self.origin_server_ts);
        json.extend_from_slice(br#","prev_events":"#);
        self.write_references(&mut json, rules.references, self.prev_events);
        if let (Some(redacts), RedactsLocation::TopLevel) = (self.redacts, rules.redacts) {
            push_string(&mut json, ",\"redacts\":", redacts.as_str());
        }
        if let Some(room_id) = self.room_id {
            push_string(&mut json, ",\"room_id\":", room_id.as_str());
        }
        push_string(&mut json, ",\"sender\":", self.sender.as_str());
        let signatures = json.len();
        push_string(&mut json, ",\"signatures\":{", server.as_str());
        push_string(&mut json, ":{", key.key_id());
        json.extend_from_slice(br#":""#);
        let signature_at = json.len();
        json.extend_from_slice(&[b'0'; SIGNATURE_CHARS]);
        json.extend_from_slice(br#""}}"#);
        let signatures_end = json.len();
        if let Some(state_key) = self.state_key {
            push_string(&mut json, ",\"state_key\":", state_key);
        }
        push_string(&mut json, ",\"type\":", self.kind);
        json.push(b'}');
        Ok(Draft {
            json,
            content,
            hashes,
            hash_at,
            hashes_end,
            signatures,
            signature_at,
            signatures_end,
        })
    }

    fn write_content(&self, json: &mut Vec<u8>, rules: &RoomVersionRules) -> Result<(), EventError> {
        let start = json.len();
        canonicalize(self.content.get().as_bytes(), rules.numbers, json)?;
        if json.get(start) != Some(&b'{') {
            return Err(EventError::Invalid("content"));
        }
        if let (Some(redacts), RedactsLocation::Content) = (self.redacts, rules.redacts) {
            let content = String::from_utf8(json.split_off(start)).map_err(|_| JsonError::Utf8)?;
            let mut value = Vec::new();
            json::write_string(&mut value, redacts.as_str());
            let value = String::from_utf8(value).map_err(|_| JsonError::Utf8)?;
            json.extend_from_slice(sign::with_member(&content, "redacts", &value).as_bytes());
        }
        Ok(())
    }

    fn write_references(&self, json: &mut Vec<u8>, format: ReferenceFormat, events: &[OwnedEventId]) {
        json.push(b'[');
        for (index, event_id) in events.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            match format {
                ReferenceFormat::Ids => json::write_string(json, event_id.as_str()),
                ReferenceFormat::HashedPairs => {
                    push_string(json, "[", event_id.as_str());
                    match self.legacy.and_then(|legacy| (legacy.hashes)(event_id)) {
                        Some(hash) => {
                            push_string(json, ",{\"sha256\":", &hash::encode_base64(&hash));
                            json.extend_from_slice(b"}]");
                        }
                        // Nobody looks at it, and other servers leave it out.
                        None => json.extend_from_slice(b",{}]"),
                    }
                }
            }
        }
        json.push(b']');
    }
}

/// About what an event is longer than its content, so that its text grows in place.
const ROOM_FOR_THE_REST: usize = 900;

/// An event that is written, but not yet hashed and signed.
struct Draft {
    json: Vec<u8>,
    /// Where `content` is.
    content: std::ops::Range<usize>,
    /// Where the `hashes` member starts, with the comma before it.
    hashes: usize,
    /// Where the content hash goes.
    hash_at: usize,
    /// Where the `hashes` member ends.
    hashes_end: usize,
    /// Where the `signatures` member starts, with the comma before it.
    signatures: usize,
    /// Where the signature goes.
    signature_at: usize,
    /// Where the `signatures` member ends.
    signatures_end: usize,
}

/// The id of an event in the versions in which it is the event's hash.
pub(super) fn hash_id(format: EventIdFormat, hash: &Hash) -> Result<OwnedEventId, EventError> {
    let text = match format {
        EventIdFormat::UrlSafeHash => hash::encode_url_safe_base64(hash),
        EventIdFormat::Hash | EventIdFormat::Assigned => hash::encode_base64(hash),
    };
    EventId::parse(format!("${text}")).map_err(|_| EventError::Invalid("event_id"))
}

fn fill(json: &mut [u8], at: usize, text: &str) {
    json[at..at + text.len()].copy_from_slice(text.as_bytes());
}

fn push_string(json: &mut Vec<u8>, before: &str, text: &str) {
    json.extend_from_slice(before.as_bytes());
    json::write_string(json, text);
}

fn push_display(json: &mut Vec<u8>, value: impl std::fmt::Display) {
    use std::io::Write as _;
    write!(json, "{value}").expect("writing to memory does not fail");
}
