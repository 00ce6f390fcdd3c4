//! Creating a room: its first events, all in one commit.

use std::sync::Arc;

use plexus_core::{
    event::NewEvent,
    room_version::{RoomIdFormat, RoomVersion},
};
use plexus_proto::{CommandResult, CreateRoom, InitialEvent};
use plexus_storage::rooms::{self, RoomInfo};
use ruma::{OwnedRoomId, UserId};
use serde_json::value::RawValue;

use super::{
    Decision,
    event::{Draft, append, sealing_error, user_id},
    head::PendingHead,
};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, bad_json, room_in_use},
    leader::Leader,
};

/// Events one createRoom may ask for; the service's own and the client's `initial_state` and invites together.
const INITIAL_EVENTS_MAX: usize = 1000;

/// A client creates a room. The events come from the service; here they are sealed one on the other.
pub(super) async fn create_room(leader: &Leader, command: &CreateRoom) -> Result<Decision, CommandError> {
    if command.events.len() > INITIAL_EVENTS_MAX {
        return Err(bad_json("Too many initial events"));
    }
    let creator = user_id(&command.creator)?;
    let version = command
        .room_version
        .to_string()
        .parse::<RoomVersion>()
        .map_err(|_| CommandError::Malformed("room version"))?;
    let created_ms = leader.clock.now_ms();
    let room_id = new_room_id(leader, command, version, creator, created_ms)?;
    if leader.store.room(&room_id).await?.is_some() {
        return Err(room_in_use());
    }
    let info = Arc::new(RoomInfo {
        nid: leader.interner.new_room(),
        id: room_id,
        version,
    });
    let mut change = ChangeSet::default();
    change.statements.push(rooms::insert(&info));
    let mut head = PendingHead::empty(Arc::clone(&info));
    for event in &command.events {
        let draft = Draft {
            sender: creator,
            kind: &event.kind,
            state_key: Some(&event.state_key),
            content: content_of(event)?,
            redacts: None,
            transaction: None,
        };
        change.append(append(leader, &mut head, draft, created_ms).await?.change);
    }
    head.store(&mut change);
    let result = CommandResult {
        room_id: Some(info.id.to_string()),
        ..CommandResult::default()
    };
    Ok(Decision { change, result })
}

/// The id of the room to be: from the worker, or from the create event itself where that is what names the room.
fn new_room_id(
    leader: &Leader,
    command: &CreateRoom,
    version: RoomVersion,
    creator: &UserId,
    created_ms: i64,
) -> Result<OwnedRoomId, CommandError> {
    match version.rules().room_id {
        RoomIdFormat::Assigned => format!("!{}:{}", command.opaque_id, leader.server_name)
            .try_into()
            .map_err(|_| CommandError::Malformed("opaque_id")),
        RoomIdFormat::CreateEventHash => {
            let create = command
                .events
                .first()
                .ok_or(CommandError::Malformed("no create event"))?;
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
