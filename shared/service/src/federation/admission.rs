//! Users of other servers at the door of a room that this server is in: they join, leave or knock with its help.
//!
//! The other server asks what its user's member event has to refer to, signs the event and sends it; this server puts it into the room and sees to it that
//! the others there get it. <https://spec.matrix.org/v1.19/server-server-api/#joining-rooms>

use std::sync::Arc;

use plexus_core::event::{EventBody, Membership, ParsedEvent};
use plexus_federation::rooms::Step;
use plexus_proto::{self as proto, change_membership::Action, command::Kind, event_outcome::Outcome};
use plexus_storage::{events::StoredEvent, rooms::RoomInfo};
use ruma::{EventId, RoomId, ServerName, UserId};
use serde_json::{Map, Value, json};

use super::{
    Arriving, acl, bring, is_resident,
    member_event::AUTHORISED_VIA,
    refusal::{not_yours, refuse},
    verify_one,
};
use crate::{Ctx, ServiceError, ids::new_command};

/// What a template does not have: it says nothing of who will have signed it.
const SIGNED: [&str; 4] = ["event_id", "hashes", "signatures", "unsigned"];

/// An event that another server has sent for a room, in its place.
#[derive(Clone, Debug)]
pub struct Admitted {
    pub room: Arc<RoomInfo>,
    pub event: Arc<StoredEvent>,
}

/// The room, if this server is in it and the other one may be.
pub async fn require_room(ctx: &Ctx, origin: &ServerName, room_id: &RoomId) -> Result<Arc<RoomInfo>, ServiceError> {
    let unknown = || ServiceError::not_found("this server is not in the room");
    let room = ctx.store.room(room_id).await?.ok_or_else(unknown)?;
    if !is_resident(ctx, room.nid).await? {
        return Err(unknown());
    }
    acl::check(ctx, &room, origin).await?;
    Ok(room)
}

/// The event that a user of another server has to sign, and the room's version. `versions` are those that the other server knows.
pub async fn make_member_event(
    ctx: &Ctx,
    origin: &ServerName,
    step: Step,
    (room_id, user_id): (&RoomId, &UserId),
    versions: &[String],
) -> Result<Value, ServiceError> {
    if user_id.server_name() != origin {
        return Err(ServiceError::forbidden("the user is not one of your server's"));
    }
    let room = require_room(ctx, origin, room_id).await?;
    // Who only wants to leave need not know the room.
    if step != Step::Leave && !versions.iter().any(|version| version == room.version.as_str()) {
        let version = Some(room.version.as_str().to_owned());
        return Err(ServiceError::IncompatibleRoomVersion { version });
    }
    let mut event = prepare(ctx, step, room_id, user_id).await?;
    event.retain(|key, _| !SIGNED.contains(&key.as_str()));
    Ok(json!({"event": event, "room_version": room.version.as_str()}))
}

/// The event that would be sent for a user, as the master makes it.
async fn prepare(
    ctx: &Ctx,
    step: Step,
    room_id: &RoomId,
    user_id: &UserId,
) -> Result<Map<String, Value>, ServiceError> {
    let action = match step {
        Step::Join => Action::Join,
        Step::Leave => Action::Leave,
        Step::Knock => Action::Knock,
    };
    let change = proto::ChangeMembership {
        room_id: room_id.to_string(),
        sender: user_id.to_string(),
        target: user_id.to_string(),
        action: action.into(),
        ..proto::ChangeMembership::default()
    };
    let event = prepare_change(ctx, change).await?;
    serde_json::from_slice(&event).map_err(ServiceError::internal)
}

/// The event that a change would say, as JSON.
pub(super) async fn prepare_change(ctx: &Ctx, change: proto::ChangeMembership) -> Result<Vec<u8>, ServiceError> {
    let prepare = proto::PrepareEvent { change: Some(change) };
    let result = ctx.replica.run(new_command(Kind::PrepareEvent(prepare))).await?;
    let event = result
        .json
        .ok_or_else(|| ServiceError::internal("the master made no event"))?;
    Ok(event.into())
}

/// Puts a member event of another server's user into a room.
pub async fn admit(
    ctx: &Ctx,
    origin: &ServerName,
    step: Step,
    (room_id, event_id): (&RoomId, &EventId),
    event: &[u8],
) -> Result<Admitted, ServiceError> {
    let room = require_room(ctx, origin, room_id).await?;
    let mut parsed = EventBody::parse(event, room.version.rules()).map_err(|error| refuse(&error))?;
    check(&parsed, origin, step, (room_id, event_id))?;
    if step == Step::Join {
        vouch(ctx, &mut parsed).await?;
    }
    let event = verify_one(ctx, room.version, parsed.json().to_owned()).await?;
    let outcomes = bring(ctx, room_id, room.version, vec![Arriving::relayed(event)]).await?;
    let outcome = outcomes.first().ok_or_else(|| ServiceError::internal("no outcome"))?;
    match outcome.outcome() {
        Outcome::Accepted => {}
        Outcome::Rejected | Outcome::SoftFailed => {
            let reason = outcome.reason.as_deref().unwrap_or("the room does not allow it");
            return Err(ServiceError::forbidden(reason));
        }
        Outcome::Missing => {
            return Err(ServiceError::invalid_param(
                "the event refers to others that are not known here",
            ));
        }
        Outcome::Invalid | Outcome::Outlier => {
            let reason = outcome
                .reason
                .as_deref()
                .unwrap_or("the event is not one of this room's history");
            return Err(ServiceError::invalid_param(reason));
        }
    }
    let event = ctx.store.known_event(room.nid, event_id).await?;
    let event = event.ok_or_else(|| ServiceError::internal("an event that was accepted is not stored"))?;
    Ok(Admitted { room, event })
}

/// Whether the event is what the path says, by a user of the server that sends it.
fn check(
    event: &ParsedEvent,
    origin: &ServerName,
    step: Step,
    (room_id, event_id): (&RoomId, &EventId),
) -> Result<(), ServiceError> {
    let wanted = match step {
        Step::Join => Membership::Join,
        Step::Leave => Membership::Leave,
        Step::Knock => Membership::Knock,
    };
    let wrong = if event.room_id() != room_id {
        "the event is of another room than the path says"
    } else if event.event_id() != event_id {
        "the event has another id than the path says"
    } else if event.membership() != Some(wanted) {
        "the event is not of the membership that the path says"
    } else if event.state_key() != Some(event.sender().as_str()) {
        "the event is not about its sender"
    } else if event.sender().server_name() != origin {
        return Err(not_yours());
    } else if event.was_redacted() {
        "the event's content does not match its hash"
    } else {
        return Ok(());
    };
    Err(ServiceError::invalid_param(wrong))
}

/// Adds this server's signature to a join that names one of its users as letting the joining one in, if that is so: now, not when the template was made, and
/// whoever made up the event.
async fn vouch(ctx: &Ctx, event: &mut ParsedEvent) -> Result<(), ServiceError> {
    let own = &ctx.config.server_name;
    if !event.required_servers().any(|server| server == own) {
        return Ok(());
    }
    let prepared = prepare(ctx, Step::Join, event.room_id(), event.sender()).await?;
    if prepared
        .get("content")
        .and_then(|content| content.get(AUTHORISED_VIA))
        .is_none()
    {
        return Err(ServiceError::forbidden("nobody of this server lets the user in"));
    }
    let key = &ctx.federation.keys().own().signing;
    event.cosign(own, key).map_err(|error| refuse(&error))
}
