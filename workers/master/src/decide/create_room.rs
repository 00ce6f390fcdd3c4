//! Creating a room: its first events, all in one commit.

use std::sync::Arc;

use plexus_core::{
    event::NewEvent,
    room_version::{RoomIdFormat, RoomVersion},
    row::Row,
};
use plexus_proto::{CommandResult, CreateRoom, InitialEvent};
use plexus_storage::{
    room_directory,
    rooms::{self, RoomInfo},
};
use ruma::{OwnedRoomId, UserId};
use serde_json::value::RawValue;

use super::{
    Decision, alias,
    event::{Draft, append, sealing_error, user_id},
    head::{LaneState, PendingHead},
};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, alias_in_use, bad_json, room_in_use},
    leader::Leader,
};

/// Events one createRoom may ask for; the service's own and the client's `initial_state` and invites together.
const INITIAL_EVENTS_MAX: usize = 1000;

/// Milliseconds that the making of a room may be moved by, because the same user has just made one like it.
const ALIKE_MAX: i64 = 1_000;

/// A client creates a room. The events come from the service; here they are sealed one on the other.
pub(super) async fn create_room(
    leader: &Leader,
    state: &mut LaneState,
    command: &CreateRoom,
) -> Result<Decision, CommandError> {
    if command.events.len() > INITIAL_EVENTS_MAX {
        return Err(bad_json("Too many initial events"));
    }
    let creator = user_id(&command.creator)?;
    let version = version(command.room_version)?;
    let (room_id, now_ms) = free_room_id(leader, version, creator, command).await?;
    let mut change = ChangeSet::default();
    let mut head = begin_room(leader, room_id, version, &mut change);
    for event in &command.events {
        append_initial(leader, &mut head, creator, event, now_ms, &mut change)
            .await
            .map_err(CommandError::or_invalid_room_state)?;
    }
    head.store(&mut change);
    if command.listed {
        change.statements.push(room_directory::update(head.info.nid, true));
        change.rows.push(Row::Room { room: head.info.nid });
    }
    if let Some(alias) = &command.alias {
        let room = head.info.nid;
        alias::reserve(leader, state, alias, creator, room, &mut change, alias_in_use).await?;
    }
    let result = CommandResult {
        room_id: Some(head.info.id.to_string()),
        ..CommandResult::default()
    };
    Ok(Decision { change, result })
}

/// An id that no room has, and the time the room is made at. Where the create event names the room, two that a user makes alike within a millisecond would
/// be one: the later is made a little later.
async fn free_room_id(
    leader: &Leader,
    version: RoomVersion,
    creator: &UserId,
    command: &CreateRoom,
) -> Result<(OwnedRoomId, i64), CommandError> {
    let create = command.events.first();
    let create = create.ok_or(CommandError::Malformed("no create event"))?;
    let now_ms = leader.clock.now_ms();
    for later_ms in now_ms..now_ms + ALIKE_MAX {
        let room_id = new_room_id(leader, version, creator, &command.opaque_id, create, later_ms)?;
        if leader.store.room(&room_id).await?.is_none() {
            return Ok((room_id, later_ms));
        }
        if version.rules().room_id == RoomIdFormat::Assigned {
            break;
        }
    }
    Err(room_in_use())
}

/// A version as Commands carry it.
pub(super) fn version(number: u32) -> Result<RoomVersion, CommandError> {
    let version = number.to_string().parse();
    version.map_err(|_| CommandError::Malformed("room version"))
}

/// A room that has no event yet.
pub(super) fn begin_room(
    leader: &Leader,
    id: OwnedRoomId,
    version: RoomVersion,
    change: &mut ChangeSet,
) -> PendingHead {
    let nid = leader.interner.new_room();
    let info = Arc::new(RoomInfo { nid, id, version });
    change.statements.push(rooms::insert(&info));
    PendingHead::empty(info)
}

/// Says one of a new room's first events.
pub(super) async fn append_initial(
    leader: &Leader,
    head: &mut PendingHead,
    sender: &UserId,
    event: &InitialEvent,
    now_ms: i64,
    change: &mut ChangeSet,
) -> Result<(), CommandError> {
    let draft = Draft {
        sender,
        kind: &event.kind,
        state_key: Some(&event.state_key),
        content: content_of(event)?,
        redacts: None,
        transaction: None,
    };
    change.append(append(leader, head, draft, now_ms).await?.change);
    Ok(())
}

/// The id of the room to be: from the worker, or from the create event itself where that is what names the room.
pub(super) fn new_room_id(
    leader: &Leader,
    version: RoomVersion,
    creator: &UserId,
    opaque_id: &str,
    create: &InitialEvent,
    created_ms: i64,
) -> Result<OwnedRoomId, CommandError> {
    match version.rules().room_id {
        RoomIdFormat::Assigned => format!("!{opaque_id}:{}", leader.server_name)
            .try_into()
            .map_err(|_| CommandError::Malformed("opaque_id")),
        RoomIdFormat::CreateEventHash => {
            let event = NewEvent {
                room_id: None,
                sender: creator,
                kind: &create.kind,
                state_key: Some(&create.state_key),
                content: content_of(create)?,
                prev_events: &[],
                auth_events: &[],
                depth: 1,
                origin_server_ts: u64::try_from(created_ms).unwrap_or_default(),
                redacts: None,
                legacy: None,
            };
            let body = event
                .seal(version.rules(), &leader.signing_key, &leader.server_name)
                .map_err(|error| sealing_error(&error))?;
            Ok(body.room_id().to_owned())
        }
    }
}

fn content_of(event: &InitialEvent) -> Result<&RawValue, CommandError> {
    serde_json::from_slice(&event.content).map_err(|_| bad_json("content is not JSON"))
}
