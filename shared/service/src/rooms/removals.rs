//! Purging rooms' histories, deleting rooms and blocking them: for administrators. The answers have the shapes that Synapse's tools know.
//!
//! The master does it in steps. What is asked for here is begun, and how far it is can be asked.

use std::time::Duration;

use plexus_core::ids::RoomNid;
use plexus_proto::{self as proto, command::Kind};
use plexus_storage::{
    blocked_rooms,
    events::Direction,
    removals::{self, Removal, RemovalKind, RemovalStatus},
};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId};
use serde_json::{Map, Value, json, value::to_raw_value};
use tokio::time::Instant;

use super::{
    create::{NewRoom, Preset, create_room},
    send::send_event,
    timestamp::first_after,
};
use crate::{
    Ctx, Requester, ServiceError,
    ids::{new_command, random_text},
    users::login::find_account,
};

/// Characters of the name of a removal.
const REMOVAL_ID_CHARS: usize = 16;
/// How long a request waits for a deletion, if it asks to; the deletion itself goes on.
const DELETION_WAIT_MAX: Duration = Duration::from_secs(600);
/// How often a request that waits looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The name of the room that those come into whose room is deleted.
const NEW_ROOM_NAME: &str = "Closed room";
/// What they read there.
const NEW_ROOM_MESSAGE: &str = "The room you were in has been closed by the administrators of this server.";

/// Up to where a history is purged. What the point names stays.
#[derive(Clone, Debug)]
pub enum PurgePoint {
    Event(OwnedEventId),
    /// The last event before a time.
    Time(u64),
}

/// Begins to purge a room's history, and says by which name it can be asked about.
pub async fn purge_history(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    point: PurgePoint,
    delete_local_events: bool,
) -> Result<String, ServiceError> {
    require_admin(requester)?;
    let unknown = || ServiceError::not_found("there is no such room on this server");
    let room = ctx.store.room(room_id).await?.ok_or_else(unknown)?;
    let event_id = match point {
        PurgePoint::Event(event_id) => event_id,
        PurgePoint::Time(ts_ms) => last_before(ctx, room.nid, ts_ms).await?,
    };
    let removal_id = random_text(REMOVAL_ID_CHARS);
    let command = proto::PurgeHistory {
        room_id: room_id.to_string(),
        removal_id: removal_id.clone(),
        event_id: event_id.to_string(),
        delete_local_events,
    };
    ctx.replica.run(new_command(Kind::PurgeHistory(command))).await?;
    Ok(removal_id)
}

async fn last_before(ctx: &Ctx, room: RoomNid, ts_ms: u64) -> Result<OwnedEventId, ServiceError> {
    let newest = ctx.store.page(room, i64::MAX, Direction::Backward, 1).await?;
    let newest = newest.first().and_then(|event| event.room_order);
    let nothing = || ServiceError::not_found("nothing in the room is that old");
    let place = first_after(ctx, room, newest.ok_or_else(nothing)?, ts_ms).await?;
    let before = ctx.store.page(room, place, Direction::Backward, 1).await?;
    let event = before.first().ok_or_else(nothing)?;
    Ok(event.body.event_id().to_owned())
}

/// How far a purge is.
pub async fn purge_status(ctx: &Ctx, requester: &Requester, removal_id: &str) -> Result<Value, ServiceError> {
    require_admin(requester)?;
    let removal = removals::get(ctx.store.db(), removal_id).await?;
    let removal = removal.filter(|removal| removal.kind == RemovalKind::Purge);
    let removal = removal.ok_or_else(|| ServiceError::not_found("there is no such purge"))?;
    let mut told = report(&removal)?;
    told.insert("status".to_owned(), status(&removal).into());
    Ok(told.into())
}

/// How a room is to be deleted.
#[derive(Clone, Debug)]
pub struct Deletion {
    /// In whose name a room is made that those come into who were in this one; without it there is none.
    pub new_room_user_id: Option<OwnedUserId>,
    pub room_name: Option<String>,
    /// What is said in the new room.
    pub message: Option<String>,
    /// Whether no local user may join it any more.
    pub block: bool,
    /// Whether it is taken out of the database.
    pub purge: bool,
    /// Whether it is even if somebody could not leave.
    pub force_purge: bool,
}

/// Begins to delete a room, and says by which name it can be asked about.
pub async fn delete_room(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    deletion: Deletion,
) -> Result<String, ServiceError> {
    require_admin(requester)?;
    if !deletion.block && ctx.store.room(room_id).await?.is_none() {
        return Err(ServiceError::not_found("there is no such room on this server"));
    }
    let new_room_id = match &deletion.new_room_user_id {
        Some(user_id) => Some(make_new_room(ctx, user_id.clone(), &deletion).await?.to_string()),
        None => None,
    };
    let removal_id = random_text(REMOVAL_ID_CHARS);
    let command = proto::DeleteRoom {
        room_id: room_id.to_string(),
        removal_id: removal_id.clone(),
        user_id: requester.user_id.to_string(),
        block: deletion.block,
        purge: deletion.purge,
        force_purge: deletion.force_purge,
        new_room_id,
    };
    ctx.replica.run(new_command(Kind::DeleteRoom(command))).await?;
    Ok(removal_id)
}

/// Makes the room that those come into who were in one that is deleted; nobody but who makes it may say anything there.
async fn make_new_room(ctx: &Ctx, user_id: OwnedUserId, deletion: &Deletion) -> Result<OwnedRoomId, ServiceError> {
    let not_ours = || ServiceError::invalid_param("`new_room_user_id` is no user of this server");
    if user_id.server_name() != ctx.config.server_name {
        return Err(not_ours());
    }
    let account = find_account(ctx, &user_id).await?;
    account.filter(|account| !account.deactivated).ok_or_else(not_ours)?;
    let user = ctx.store.user_nid(&user_id).await?.ok_or_else(not_ours)?;
    let maker = Requester {
        user,
        user_id,
        device_id: "".into(),
        admin: false,
        guest: false,
        suspended: false,
    };
    let mut levels = Map::new();
    levels.insert("users_default".to_owned(), Value::from(-10));
    let room = NewRoom {
        preset: Some(Preset::PublicChat),
        name: Some(deletion.room_name.clone().unwrap_or_else(|| NEW_ROOM_NAME.to_owned())),
        power_levels_override: levels,
        ..NewRoom::default()
    };
    let room_id = create_room(ctx, &maker, room).await?;
    let message = deletion.message.as_deref().unwrap_or(NEW_ROOM_MESSAGE);
    let content = json!({"msgtype": "m.text", "body": message});
    let content = to_raw_value(&content).map_err(ServiceError::internal)?;
    send_event(ctx, &maker, &room_id, "m.room.message", None, &content).await?;
    Ok(room_id)
}

/// How far a deletion is.
pub async fn deletion_status(ctx: &Ctx, requester: &Requester, removal_id: &str) -> Result<Value, ServiceError> {
    require_admin(requester)?;
    let removal = find_deletion(ctx, removal_id).await?;
    tell_deletion(&removal)
}

/// How far the deletions of a room are, those that have ended lately too.
pub async fn deletions_of_room(ctx: &Ctx, requester: &Requester, room_id: &RoomId) -> Result<Value, ServiceError> {
    require_admin(requester)?;
    let removals = removals::of_room(ctx.store.db(), room_id.as_str()).await?;
    let deletions = removals.iter().filter(|removal| removal.kind == RemovalKind::Deletion);
    let results: Vec<Value> = deletions.map(tell_deletion).collect::<Result<_, _>>()?;
    if results.is_empty() {
        return Err(ServiceError::not_found("the room has not been deleted lately"));
    }
    Ok(json!({"results": results}))
}

/// Waits for a deletion to end. What has become of the room's users, or an error if the deletion has failed.
pub async fn await_deletion(ctx: &Ctx, removal_id: &str) -> Result<Value, ServiceError> {
    let deadline = Instant::now() + DELETION_WAIT_MAX;
    loop {
        let removal = find_deletion(ctx, removal_id).await?;
        match removal.status {
            RemovalStatus::Complete => return Ok(report(&removal)?.into()),
            RemovalStatus::Failed => {
                let why = report(&removal)?.remove("error").unwrap_or_default();
                return Err(ServiceError::internal(format!("a room could not be deleted: {why}")));
            }
            RemovalStatus::Active if Instant::now() >= deadline => {
                return Err(ServiceError::internal("a deletion takes longer than a request may"));
            }
            RemovalStatus::Active => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

async fn find_deletion(ctx: &Ctx, removal_id: &str) -> Result<Removal, ServiceError> {
    let removal = removals::get(ctx.store.db(), removal_id).await?;
    let removal = removal.filter(|removal| removal.kind == RemovalKind::Deletion);
    removal.ok_or_else(|| ServiceError::not_found("there is no such deletion"))
}

fn tell_deletion(removal: &Removal) -> Result<Value, ServiceError> {
    let mut shutdown = report(removal)?;
    let error = shutdown.remove("error");
    let mut told = json!({
        "delete_id": removal.id,
        "room_id": removal.room_id,
        "status": status(removal),
        "shutdown_room": shutdown,
    });
    if let Some(error) = error {
        told["error"] = error;
    }
    Ok(told)
}

/// Lets no local user into a room any more, or ends that. The room need not be known.
pub async fn set_blocked(ctx: &Ctx, requester: &Requester, room_id: &RoomId, block: bool) -> Result<(), ServiceError> {
    require_admin(requester)?;
    let command = proto::BlockRoom {
        room_id: room_id.to_string(),
        user_id: requester.user_id.to_string(),
        block,
    };
    ctx.replica.run(new_command(Kind::BlockRoom(command))).await?;
    Ok(())
}

/// Who has blocked a room, if it is blocked.
pub async fn get_blocked(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
) -> Result<Option<OwnedUserId>, ServiceError> {
    require_admin(requester)?;
    Ok(blocked_rooms::blocked_by(ctx.store.db(), room_id).await?)
}

fn report(removal: &Removal) -> Result<Map<String, Value>, ServiceError> {
    serde_json::from_slice(&removal.report).map_err(ServiceError::internal)
}

fn status(removal: &Removal) -> &'static str {
    match removal.status {
        RemovalStatus::Active => "active",
        RemovalStatus::Complete => "complete",
        RemovalStatus::Failed => "failed",
    }
}

fn require_admin(requester: &Requester) -> Result<(), ServiceError> {
    if requester.admin {
        return Ok(());
    }
    Err(ServiceError::forbidden("only a server administrator may do this"))
}
