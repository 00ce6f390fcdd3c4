//! What users of this server are to rooms that it is not in: they are invited, have knocked, or neither any more. The member event that says so has no place in
//! a history here, and what allows it is not known; it is kept apart from the room's events.

use std::sync::Arc;

use plexus_core::{
    event::EventBody,
    ids::{EventNid, NodeId, UserNid},
    row::{EventStatus, Membership, Row, StateRow},
};
use plexus_proto::KeepMembership;
use plexus_storage::{
    blocked_rooms,
    events::{self, NewEventRow},
    memberships, room_previews,
    rooms::RoomInfo,
};
use ruma::{RoomId, UserId};

use super::{
    Decision,
    create_room::{begin_room, version},
    event::user_id,
    head::LaneState,
    removals,
};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, bad_state, blocked},
    leader::Leader,
};

/// Most bytes of what a user is told of the room.
const PREVIEW_BYTES_MAX: usize = 64 * 1024;

/// Keeps what a user is to a room. The same event again changes nothing.
pub(super) async fn keep_membership(
    leader: &Leader,
    state: &mut LaneState,
    command: &KeepMembership,
) -> Result<Decision, CommandError> {
    let room_id = <&RoomId>::try_from(command.room_id.as_str()).map_err(|_| CommandError::Malformed("room_id"))?;
    let mut change = ChangeSet::default();
    let known = leader.store.room(room_id).await?;
    let is_new = known.is_none();
    let info = if let Some(info) = known {
        info
    } else {
        removals::require_open(leader, room_id).await?;
        let head = begin_room(leader, room_id.to_owned(), version(command.room_version)?, &mut change);
        let info = Arc::clone(&head.info);
        state.set_head(head);
        info
    };
    let servers = leader.store.room_servers(info.nid).await?;
    if !is_new && servers.contains(&leader.server_name) {
        return Err(bad_state("This server is in the room"));
    }
    let event = EventBody::parse(&command.json, info.version.rules());
    let event = event
        .map_err(|_| CommandError::Malformed("event"))?
        .trust_internal_plane();
    let (target, membership) = about(leader, &info, &event)?;
    if !is_new
        && leader
            .store
            .apart_event(info.version, event.event_id())
            .await?
            .is_some()
    {
        return Ok(Decision::unchanged(event.event_id()));
    }
    let user = leader.interner.user(target).await?.with(&mut change.statements);
    if !is_change(leader, &info, user, membership).await? {
        return Ok(Decision::unchanged(event.event_id()));
    }
    match membership {
        Membership::Invite | Membership::Knock => {
            if blocked_rooms::blocked_by(leader.store.db(), room_id).await?.is_some() {
                return Err(blocked());
            }
            let preview = command.room_state.as_deref().unwrap_or(b"[]");
            if preview.len() > PREVIEW_BYTES_MAX {
                return Err(CommandError::Malformed("room_state"));
            }
            change.statements.push(room_previews::upsert(user, info.nid, preview));
        }
        Membership::Join | Membership::Leave | Membership::Ban => {
            change.statements.push(room_previews::delete(user, info.nid));
        }
    }
    let event_id = event.event_id().to_owned();
    let nid = write_event(leader, &info, event, &mut change).await?;
    let place = change.next_sequence();
    let statement = memberships::insert(user, info.nid, place, membership, nid);
    change.statements.push(statement);
    change.rows.push(Row::State(StateRow {
        room: info.nid,
        memberships: vec![(user, membership, nid)],
    }));
    Ok(Decision::event(change, &event_id))
}

/// Whom the event is about, and what it makes of him. He is a user of this server, and does not come into the room by it.
fn about<'a>(leader: &Leader, info: &RoomInfo, event: &'a EventBody) -> Result<(&'a UserId, Membership), CommandError> {
    let target = user_id(event.state_key().unwrap_or_default())?;
    match event.membership() {
        Some(membership)
            if membership != Membership::Join
                && event.room_id() == info.id
                && target.server_name() == leader.server_name =>
        {
            Ok((target, membership))
        }
        Some(_) | None => Err(CommandError::Malformed("event")),
    }
}

/// Whether the user is something else by it. To be out of a room that one has had nothing to do with is nothing.
async fn is_change(
    leader: &Leader,
    info: &RoomInfo,
    user: UserNid,
    membership: Membership,
) -> Result<bool, CommandError> {
    let rooms = leader.store.user_rooms(user).await?;
    let was = rooms.get(info.nid).map(|entry| entry.membership);
    Ok(match membership {
        Membership::Invite | Membership::Knock => true,
        Membership::Join | Membership::Leave | Membership::Ban => was.is_some_and(|was| was != membership),
    })
}

async fn write_event(
    leader: &Leader,
    info: &RoomInfo,
    event: EventBody,
    change: &mut ChangeSet,
) -> Result<EventNid, CommandError> {
    let nid = leader.interner.new_event();
    let sender = leader.interner.user(event.sender()).await?.with(&mut change.statements);
    let key = leader
        .interner
        .state_key(event.kind(), event.state_key().unwrap_or_default())
        .await?;
    let state_key = key.with(&mut change.statements);
    let row = NewEventRow {
        nid,
        room: info.nid,
        version: info.version,
        room_order: None,
        sender,
        state_key: Some(state_key),
        status: EventStatus::Outlier,
        state_before: NodeId::EMPTY,
        state_after: NodeId::EMPTY,
        room_root: NodeId::EMPTY,
        auth_parents: Some(Arc::default()),
        notifying: 0,
        transaction: None,
        rejected_for: None,
        outgoing: false,
        body: Arc::new(event),
    };
    let place = change.next_sequence();
    change.statements.push(events::insert_apart(&row, place));
    change.rows.push(Row::Unlisted {
        room: info.nid,
        event: nid,
    });
    Ok(nid)
}
