//! The member events that this server signs for rooms it is not in.
//!
//! Another server proposes such an event. It is not what gets signed: of the proposal are taken the events it refers to, its depth and, in a restricted room,
//! who vouches for the user; everything else is what this server wants to say. A proposal of something else is refused.

use std::collections::HashMap;

use plexus_core::{
    event::{
        EventBody, EventError, Legacy, NewEvent,
        hash::{Hash, decode_base64},
    },
    room_version::{ReferenceFormat, RoomVersion, RoomVersionRules},
};
use plexus_federation::rooms::{Step, Template};
use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, ServerName, UserId};
use serde_json::{Map, Value, value::to_raw_value};

use crate::{Ctx, ServiceError, ids::random_text};

/// Random characters of the id of an event in room versions whose ids are chosen.
const EVENT_ID_CHARS: usize = 18;
/// In the content of a join of a restricted room: who vouches for the user.
pub(super) const AUTHORISED_VIA: &str = "join_authorised_via_users_server";

/// What a user of this server wants to be to a room, and what he says about it.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) room_id: OwnedRoomId,
    pub(super) user_id: OwnedUserId,
    pub(super) step: Step,
    /// The content, but for the membership.
    pub(super) content: Map<String, Value>,
}

/// Why nothing is signed.
#[derive(Debug, thiserror::Error)]
enum TemplateError {
    /// The room's version is not known here.
    #[error("the room version is not supported")]
    Version,
    /// It proposes something else than what was asked for.
    #[error("the proposal's `{0}` is not what was asked for")]
    Other(&'static str),
    /// What it refers to cannot be referred to.
    #[error("the proposal refers to {0}")]
    Reference(String),
    /// No event can be made of it.
    #[error(transparent)]
    Event(#[from] EventError),
}

/// Asks another server where the event that a user wants goes, and makes it. What comes back is signed, and of the room's version as it is known here.
pub(super) async fn propose(
    ctx: &Ctx,
    server: &ServerName,
    wanted: &Wanted,
) -> Result<(RoomVersion, EventBody), ServiceError> {
    let (room_id, user_id) = (&*wanted.room_id, &*wanted.user_id);
    let asking = ctx.federation.make_member_event(server, wanted.step, room_id, user_id);
    let template = asking.await?;
    let (version, event) = complete(ctx, server, wanted, &template).map_err(|error| match error {
        TemplateError::Version => ServiceError::IncompatibleRoomVersion { version: None },
        TemplateError::Other(_) | TemplateError::Reference(_) | TemplateError::Event(_) => {
            untrue(server, &error.to_string())
        }
    })?;
    let known = ctx.store.room(room_id).await?;
    if known.is_some_and(|known| known.version != version) {
        return Err(untrue(server, "another version of the room than it has"));
    }
    Ok((version, event))
}

/// The other server says what cannot be.
pub(super) fn untrue(server: &ServerName, what: &str) -> ServiceError {
    ServiceError::Unavailable(format!("{server} answers with {what}"))
}

/// Makes the event that a user wants, where another server has proposed to put it.
fn complete(
    ctx: &Ctx,
    server: &ServerName,
    wanted: &Wanted,
    template: &Template,
) -> Result<(RoomVersion, EventBody), TemplateError> {
    let version = template.version.ok_or(TemplateError::Version)?;
    let rules = version.rules();
    let proposal = &template.event;
    check(proposal, wanted)?;
    let mut content = wanted.content.clone();
    content.insert("membership".to_owned(), wanted.step.as_str().into());
    if wanted.step == Step::Join
        && rules.auth.restricted
        && let Some(voucher) = voucher(&proposal["content"], server)?
    {
        content.insert(AUTHORISED_VIA.to_owned(), voucher.into());
    }
    let content = to_raw_value(&content).map_err(|_| TemplateError::Other("content"))?;
    let mut hashes = HashMap::new();
    let prev_events = references(rules, &proposal["prev_events"], &mut hashes)?;
    let auth_events = references(rules, &proposal["auth_events"], &mut hashes)?;
    let event = NewEvent {
        room_id: Some(&wanted.room_id),
        sender: &wanted.user_id,
        kind: "m.room.member",
        state_key: Some(wanted.user_id.as_str()),
        content: &content,
        prev_events: &prev_events,
        auth_events: &auth_events,
        depth: proposal["depth"].as_i64().ok_or(TemplateError::Other("depth"))?,
        origin_server_ts: u64::try_from(ctx.clock.now_ms()).unwrap_or_default(),
        redacts: None,
        legacy: Some(Legacy {
            localpart: &random_text(EVENT_ID_CHARS),
            hashes: &|id| hashes.get(id).copied(),
        }),
    };
    let key = &ctx.federation.keys().own().signing;
    Ok((version, event.seal(rules, key, &ctx.config.server_name)?))
}

/// Whether the proposal is about the right thing. What it says beyond that is not signed anyway.
fn check(proposal: &Value, wanted: &Wanted) -> Result<(), TemplateError> {
    let user = wanted.user_id.as_str();
    let has = [
        ("type", &proposal["type"], "m.room.member"),
        ("room_id", &proposal["room_id"], wanted.room_id.as_str()),
        ("sender", &proposal["sender"], user),
        ("state_key", &proposal["state_key"], user),
        ("membership", &proposal["content"]["membership"], wanted.step.as_str()),
    ];
    match has.into_iter().find(|(_, has, wants)| *has != *wants) {
        Some((field, _, _)) => Err(TemplateError::Other(field)),
        None => Ok(()),
    }
}

/// Who vouches for the user: somebody of the server that proposes it, for it has to sign.
fn voucher(content: &Value, server: &ServerName) -> Result<Option<String>, TemplateError> {
    let wrong = TemplateError::Other(AUTHORISED_VIA);
    match content.get(AUTHORISED_VIA) {
        None => Ok(None),
        Some(Value::String(user)) => match <&UserId>::try_from(user.as_str()) {
            Ok(user_id) if user_id.server_name() == server => Ok(Some(user.clone())),
            Ok(_) | Err(_) => Err(wrong),
        },
        Some(_) => Err(wrong),
    }
}

/// The events that the proposal refers to.
fn references(
    rules: &RoomVersionRules,
    list: &Value,
    hashes: &mut HashMap<OwnedEventId, Hash>,
) -> Result<Vec<OwnedEventId>, TemplateError> {
    let wrong = |reference: &Value| TemplateError::Reference(reference.to_string());
    let id_of = |value: &Value| value.as_str().and_then(|id| EventId::parse(id).ok());
    let references = list.as_array().ok_or_else(|| wrong(list))?;
    let mut ids = Vec::with_capacity(references.len());
    for reference in references {
        let id = match rules.references {
            ReferenceFormat::Ids => id_of(reference).ok_or_else(|| wrong(reference))?,
            ReferenceFormat::HashedPairs => {
                let id = id_of(&reference[0]).ok_or_else(|| wrong(reference))?;
                let hash = reference[1]["sha256"].as_str().and_then(decode_base64);
                hashes.extend(hash.and_then(|hash| Some((id.clone(), Hash::try_from(hash).ok()?))));
                id
            }
        };
        ids.push(id);
    }
    Ok(ids)
}
