//! Events from other servers: everything is checked before anything is believed.
//!
//! See <https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu>, steps 1 to 3.

use std::collections::BTreeSet;

use ruma::{EventId, OwnedEventId, OwnedServerName, RoomId, ServerName, UserId};

use super::{
    EventBody, EventError, Membership, SigningKey, VerifyKey, canonical::canonical_object, fields::Fields, hash, json,
    limits, redact, seal::hash_id, sign,
};
use crate::room_version::{EventIdFormat, RoomVersionRules};

/// A key of another server, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// The key itself.
    pub key: VerifyKey,
    /// Until when the server vouched for it, in milliseconds since 1970; at most 7 days ahead, which the caller sees to.
    pub valid_until_ts: u64,
    /// Since when the server does not use it any more.
    pub expired_ts: Option<u64>,
}

impl PublicKey {
    /// Whether a signature of an event of this time counts.
    fn is_valid_at(&self, origin_server_ts: u64, rules: &RoomVersionRules) -> bool {
        let has_expired = self.expired_ts.is_some_and(|expired_ts| expired_ts < origin_server_ts);
        let is_vouched_for = self.valid_until_ts >= origin_server_ts || self.expired_ts.is_some();
        !has_expired && (is_vouched_for || !rules.enforce_key_validity)
    }
}

/// An event of another server: well-formed and within limits, but perhaps forged. [`verify`](Self::verify) makes an
/// [`EventBody`] of it.
#[derive(Clone, Debug)]
pub struct ParsedEvent {
    body: EventBody,
    rules: &'static RoomVersionRules,
    /// What the signatures cover.
    signed: Vec<u8>,
    servers: BTreeSet<OwnedServerName>,
    was_redacted: bool,
}

impl ParsedEvent {
    pub(super) fn parse(input: &[u8], rules: &'static RoomVersionRules) -> Result<Self, EventError> {
        let json = canonical_object(input, rules.numbers)?;
        // `unsigned` is covered by nothing: it is neither believed nor kept nor measured.
        let json = match json::get(&json, "unsigned") {
            Some(_) => into_string(hash::without(&json, &["unsigned"])),
            None => json,
        };
        limits::check_size(json.len())?;
        let fields = Fields::scan(&json);
        let kind = fields.kind()?;
        limits::check_field("type", &kind)?;
        fields.signatures()?;

        let claimed = hash::decode_base64(&fields.content_hash()?);
        let is_whole = claimed.is_some_and(|claimed| claimed == hash::content_hash(&json));
        let signed = redact::signed_form(&json, &kind, rules.redaction);
        let event_id = match rules.event_id {
            EventIdFormat::Assigned => fields.event_id()?,
            EventIdFormat::Hash | EventIdFormat::UrlSafeHash => hash_id(rules.event_id, &hash::sha256(&signed))?,
        };
        let json = if is_whole {
            json
        } else {
            into_string(redact::redact(&json, &kind, rules.redaction))
        };
        let body = EventBody::from_canonical(event_id, rules, json)?;
        check_limits(&body)?;
        let servers = required_servers(&body, rules)?;
        Ok(Self {
            body,
            rules,
            signed,
            servers,
            was_redacted: !is_whole,
        })
    }

    /// The event's id.
    pub fn event_id(&self) -> &EventId {
        self.body.event_id()
    }

    /// The room the event says it is in.
    pub fn room_id(&self) -> &RoomId {
        self.body.room_id()
    }

    /// Who is said to have sent it.
    pub fn sender(&self) -> &UserId {
        self.body.sender()
    }

    /// The event's `type`.
    pub fn kind(&self) -> &str {
        self.body.kind()
    }

    /// The event's `state_key`.
    pub fn state_key(&self) -> Option<&str> {
        self.body.state_key()
    }

    /// What a membership event would make of its target.
    pub fn membership(&self) -> Option<Membership> {
        self.body.membership()
    }

    /// A string among the members of `content`.
    pub fn content_string(&self, key: &str) -> Option<String> {
        self.body.content_string(key)
    }

    /// The event as it is passed on to who verifies it.
    pub fn json(&self) -> &str {
        self.body.json()
    }

    /// The events it refers to as coming before it.
    pub fn prev_events(&self) -> &[OwnedEventId] {
        self.body.prev_events()
    }

    /// The events it says allow it.
    pub fn auth_events(&self) -> &[OwnedEventId] {
        self.body.auth_events()
    }

    /// Whether the content did not match its hash, so that only the redacted form is left.
    pub fn was_redacted(&self) -> bool {
        self.was_redacted
    }

    /// The servers whose signatures the event needs.
    pub fn required_servers(&self) -> impl Iterator<Item = &ServerName> {
        self.servers.iter().map(AsRef::as_ref)
    }

    /// The keys, by server and id, that the event's needed signatures claim to be by: those to fetch.
    pub fn key_ids(&self) -> Vec<(OwnedServerName, String)> {
        let signatures = json::get(self.body.json(), "signatures").unwrap_or("{}");
        let mut ids = Vec::new();
        for server in &self.servers {
            let of_server = json::get(signatures, server.as_str()).unwrap_or("{}");
            ids.extend(
                json::members(of_server).map(|member| (server.clone(), json::unescape(member.raw_key).into_owned())),
            );
        }
        ids
    }

    /// When those keys have to be valid, in milliseconds since 1970; 0 in versions where that does not matter.
    pub fn keys_valid_at(&self) -> u64 {
        if self.rules.enforce_key_validity {
            self.body.origin_server_ts()
        } else {
            0
        }
    }

    /// Checks the signatures the event needs; `keys` gives what is known of a server's key.
    pub fn verify(self, keys: &dyn Fn(&ServerName, &str) -> Option<PublicKey>) -> Result<EventBody, EventError> {
        let signatures = json::get(self.body.json(), "signatures").unwrap_or("{}");
        for server in &self.servers {
            sign::verify_server(signatures, server, &self.signed, |key_id| {
                let key = keys(server, key_id)?;
                key.is_valid_at(self.body.origin_server_ts(), self.rules)
                    .then_some(key.key)
            })?;
        }
        Ok(self.body)
    }

    /// The event as another process of this server verified it. Only the internal plane, which is authenticated, may
    /// bring events here.
    pub fn trust_internal_plane(self) -> EventBody {
        self.body
    }

    /// Adds a signature of this server: a resident server vouches so for a join it authorised.
    pub fn cosign(&mut self, server: &ServerName, key: &SigningKey) -> Result<(), EventError> {
        let json = sign::add_signature(self.body.json(), server, key.key_id(), &key.sign(&self.signed));
        limits::check_size(json.len())?;
        self.body = EventBody::from_canonical(self.body.event_id.clone(), self.rules, json)?;
        Ok(())
    }
}

fn check_limits(body: &EventBody) -> Result<(), EventError> {
    limits::check_field("state_key", body.state_key().unwrap_or_default())?;
    limits::check_field("sender", body.sender().as_str())?;
    limits::check_field("room_id", body.room_id().as_str())?;
    limits::check_field("event_id", body.event_id().as_str())?;
    for event_id in body.prev_events().iter().chain(body.auth_events()) {
        limits::check_field("event_id", event_id.as_str())?;
    }
    limits::check_references(body.prev_events().len(), body.auth_events().len())
}

/// Whose signatures the event needs, judged by what is kept of it: if the content that came did not match its hash, a
/// `third_party_invite` in it must not stand in for the sender's signature.
fn required_servers(body: &EventBody, rules: &RoomVersionRules) -> Result<BTreeSet<OwnedServerName>, EventError> {
    let mut servers = BTreeSet::new();
    // An invite through an identity server may be sent by another server than the sender's; its own signature, inside
    // the content, is an authorization rule.
    let is_third_party_invite = body.membership() == Some(Membership::Invite)
        && json::get(body.content(), "third_party_invite").is_some_and(json::is_object);
    if !is_third_party_invite {
        servers.insert(body.sender().server_name().to_owned());
    }
    if rules.signatures.event_id_server {
        let server = body.event_id().server_name().ok_or(EventError::Invalid("event_id"))?;
        servers.insert(server.to_owned());
    }
    if rules.signatures.authorising_server
        && body.kind() == "m.room.member"
        && let Some(user) = json::get(body.content(), "join_authorised_via_users_server")
    {
        let invalid = EventError::Invalid("join_authorised_via_users_server");
        let user = json::string(user)
            .and_then(|user| UserId::parse(&*user).ok())
            .ok_or(invalid)?;
        servers.insert(user.server_name().to_owned());
    }
    Ok(servers)
}

fn into_string(canonical: Vec<u8>) -> String {
    String::from_utf8(canonical).expect("made of strings")
}
