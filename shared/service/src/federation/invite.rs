//! Invites between servers: each is signed by the server of who invites and by that of who is invited.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room>

use plexus_core::{
    event::{EventBody, Membership, ParsedEvent},
    room_version::RoomVersion,
};
use plexus_proto::{self as proto, event_outcome::Outcome};
use plexus_storage::{blocked_rooms, rooms::RoomInfo};
use ruma::{EventId, OwnedEventId, RoomId, ServerName, UserId};
use serde_json::Value;

use super::{
    Arriving, acl,
    admission::{prepare_change, require_room},
    bring, is_resident,
    membership::see_through,
    outside::{keep, preview},
    refusal::{not_yours, refuse},
    verify_one,
};
use crate::{
    Ctx, ServiceError,
    rooms::{access::now, third_party::bound::invite_bound},
    sync::stripped::describe,
};

/// An invite as another server sends it.
#[derive(Clone, Debug)]
pub struct Invitation<'a> {
    /// Room and event, by the path.
    pub room_id: &'a RoomId,
    pub event_id: &'a EventId,
    /// The room's version, by the body.
    pub version: &'a str,
    /// The event, JSON.
    pub event: &'a [u8],
    /// What room it is.
    pub state: &'a [Value],
}

/// Takes an invite of a user of this server, and gives it back with this server's signature.
pub async fn receive_invite(
    ctx: &Ctx,
    origin: &ServerName,
    invitation: Invitation<'_>,
) -> Result<EventBody, ServiceError> {
    let room_id = invitation.room_id;
    let version: RoomVersion = invitation
        .version
        .parse()
        .map_err(|_| ServiceError::IncompatibleRoomVersion { version: None })?;
    let known = ctx.store.room(room_id).await?;
    if known.as_ref().is_some_and(|known| known.version != version) {
        return Err(ServiceError::invalid_param("the room has another version"));
    }
    let here = match &known {
        Some(room) if is_resident(ctx, room.nid).await? => Some(room),
        Some(_) | None => None,
    };
    if let Some(room) = here {
        acl::check(ctx, room, origin).await?;
    }
    let mut parsed = EventBody::parse(invitation.event, version.rules()).map_err(|error| refuse(&error))?;
    let target = check(ctx, &parsed, origin, &invitation)?;
    require_invitable(ctx, room_id, &target).await?;
    let key = &ctx.federation.keys().own().signing;
    parsed
        .cosign(&ctx.config.server_name, key)
        .map_err(|error| refuse(&error))?;
    let event = verify_one(ctx, version, parsed.json().to_owned()).await?;
    // Whoever is in the room gets it with the room's other events.
    if here.is_none() {
        let preview = preview(invitation.state, &target);
        keep(ctx, version, &event, Some(preview)).await?;
    }
    Ok(event)
}

/// Whether the event is an invite of a user of this server, by a user of the server that sends it. Nothing else is signed.
fn check(
    ctx: &Ctx,
    event: &ParsedEvent,
    origin: &ServerName,
    invitation: &Invitation<'_>,
) -> Result<ruma::OwnedUserId, ServiceError> {
    let target = event.state_key().and_then(|key| UserId::parse(key).ok());
    let target = target.filter(|target| target.server_name() == ctx.config.server_name);
    let wrong = if event.room_id() != invitation.room_id {
        "the event is of another room than the path says"
    } else if event.event_id() != invitation.event_id {
        "the event has another id than the path says"
    } else if event.membership() != Some(Membership::Invite) {
        "the event is no invite"
    } else if event.sender().server_name() != origin {
        return Err(not_yours());
    } else if event.was_redacted() {
        "the event's content does not match its hash"
    } else {
        return target.ok_or_else(|| ServiceError::invalid_param("the event invites no user of this server"));
    };
    Err(ServiceError::invalid_param(wrong))
}

/// Refuses invites of those who are not there, and into rooms that are blocked here.
async fn require_invitable(ctx: &Ctx, room_id: &RoomId, target: &UserId) -> Result<(), ServiceError> {
    if blocked_rooms::blocked_by(ctx.store.db(), room_id).await?.is_some() {
        return Err(ServiceError::forbidden("This room has been blocked on this server"));
    }
    let account = match ctx.store.user_nid(target).await? {
        Some(user) => ctx.store.account(user).await?,
        None => None,
    };
    match account.filter(|account| !account.deactivated) {
        Some(_) => Ok(()),
        None => Err(ServiceError::not_found("there is no such user")),
    }
}

/// Has a user of another server invited: his server signs first, then the invite is put into the room and goes to the others there.
pub(crate) async fn send_invite(ctx: &Ctx, change: proto::ChangeMembership) -> Result<OwnedEventId, ServiceError> {
    let room_id = RoomId::parse(&change.room_id).map_err(ServiceError::internal)?;
    let target = UserId::parse(&change.target).map_err(ServiceError::internal)?;
    let own = ctx.clone();
    see_through(ctx, async move {
        // The master says what is to be said of rooms that are not there.
        let event = prepare_change(&own, change).await?;
        let room = own.store.room(&room_id).await?;
        let room = room.ok_or_else(|| ServiceError::internal("an event of a room that is not there"))?;
        invite_by(&own, &room, target.server_name(), event).await
    })
    .await
}

async fn invite_by(
    ctx: &Ctx,
    room: &RoomInfo,
    server: &ServerName,
    event: Vec<u8>,
) -> Result<OwnedEventId, ServiceError> {
    let event = String::from_utf8(event).map_err(ServiceError::internal)?;
    let event = verify_one(ctx, room.version, event).await?;
    let state = ctx.store.room_root_at(room.nid, now(ctx)).await?.unwrap_or_default();
    let shown = describe(ctx, room.nid, state, event.sender()).await?;
    let shown = ctx.store.events(&shown).await?;
    let shown: Vec<&str> = shown.iter().map(|event| event.body.json()).collect();
    let rules = room.version.rules();
    let signed = ctx.federation.invite(server, rules, &event, &shown).await;
    let signed = signed.map_err(|error| of_client(error.into()))?;
    // In versions whose ids are chosen, an id says nothing of what is in the event; this server's own signature does.
    if signed.event_id() != event.event_id() || signed.content() != event.content() {
        return Err(ServiceError::Unavailable(format!(
            "{server} answers with another event"
        )));
    }
    let event_id = signed.event_id().to_owned();
    let outcomes = bring(ctx, &room.id, room.version, vec![Arriving::relayed(signed)]).await?;
    let outcome = outcomes.first().ok_or_else(|| ServiceError::internal("no outcome"))?;
    match outcome.outcome() {
        Outcome::Accepted => Ok(event_id),
        Outcome::Rejected | Outcome::SoftFailed => {
            let reason = outcome.reason.as_deref().unwrap_or("the room does not allow it");
            Err(ServiceError::forbidden(reason))
        }
        Outcome::Missing | Outcome::Invalid | Outcome::Outlier => {
            Err(ServiceError::internal("an invite of this server's own has no place"))
        }
    }
}

/// What the other server says of this one's request is not for the client, who has made no mistake.
fn of_client(error: ServiceError) -> ServiceError {
    const CODES: [&str; 2] = ["M_INVALID_PARAM", "M_MISSING_PARAM"];
    let is_ours = matches!(&error, ServiceError::Matrix { errcode, .. } if CODES.contains(&errcode.as_str()));
    if is_ours {
        ServiceError::Unavailable(error.to_string())
    } else {
        error
    }
}

/// A user of another server has proved that an address which was invited here is his: the invite of the address becomes one of the user.
pub async fn exchange_third_party_invite(
    ctx: &Ctx,
    origin: &ServerName,
    room_id: &RoomId,
    event: &Value,
) -> Result<(), ServiceError> {
    let room = require_room(ctx, origin, room_id).await?;
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let (sender, target) = (UserId::parse(text("sender")), UserId::parse(text("state_key")));
    let (Ok(sender), Ok(target)) = (sender, target) else {
        return Err(ServiceError::invalid_param("sender and state_key are users"));
    };
    let content = &event["content"];
    let wrong = if text("type") != "m.room.member" || content["membership"] != "invite" {
        "the event is no invite"
    } else if text("room_id") != room_id.as_str() {
        "the event is of another room than the path says"
    } else if sender.server_name() != ctx.config.server_name {
        "the address was not invited by a user of this server"
    } else if target.server_name() != origin {
        "the invited user is not one of your server's"
    } else if !content["third_party_invite"].is_object() {
        "the event names no invite of an address"
    } else {
        let signed = &content["third_party_invite"]["signed"];
        return invite_bound(ctx, &room, &sender, &target, signed).await;
    };
    Err(ServiceError::invalid_param(wrong))
}
