//! Reading a room's state and its members.

use std::sync::Arc;

use plexus_core::{ids::EventNid, position::Sequence, row::Membership};
use plexus_storage::events::StoredEvent;
use ruma::RoomId;

use super::{
    access::{Sights, View, require_joined, view_room},
    partial::until_complete,
    present::{Style, write_state},
};
use crate::{
    Ctx, Requester, ServiceError,
    client_event::{ClientEvent, write_string},
};

/// What an event of a list takes, about, besides its own JSON.
const EVENT_BYTES: usize = 200;

/// The room's whole state, as a JSON array.
pub async fn get_state(ctx: &Ctx, requester: &Requester, room_id: &RoomId) -> Result<Vec<u8>, ServiceError> {
    let view = view_room(ctx, requester, room_id).await?;
    let state = ctx.store.state(view.room.nid, view.root).await?;
    let nids: Vec<EventNid> = state.into_iter().map(|(_, event)| event).collect();
    let events = ctx.store.events(&nids).await?;
    let mut out = Vec::with_capacity(room_for(&events));
    write_state(ctx, &events, Style::default(), &mut out);
    Ok(out)
}

/// One state event, or only its content, as JSON.
pub async fn get_state_event(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    kind: &str,
    state_key: &str,
    content_only: bool,
) -> Result<Vec<u8>, ServiceError> {
    let view = view_room(ctx, requester, room_id).await?;
    let event = ctx.store.state_event(view.room.nid, view.root, kind, state_key).await?;
    let event = event.ok_or_else(|| ServiceError::not_found("the room has no such state"))?;
    if content_only {
        return Ok(event.body.content().as_bytes().to_vec());
    }
    let mut out = Vec::with_capacity(event.body.json().len() + EVENT_BYTES);
    ClientEvent::new(&event, ctx.clock.now_ms()).write(&mut out);
    Ok(out)
}

/// Which members are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemberFilter {
    pub membership: Option<Membership>,
    pub not_membership: Option<Membership>,
}

impl MemberFilter {
    fn keeps(self, membership: Membership) -> bool {
        match (self.membership, self.not_membership) {
            (None, None) => true,
            (Some(wanted), None) => wanted == membership,
            (None, Some(unwanted)) => unwanted != membership,
            // Either is enough, says the specification.
            (Some(wanted), Some(unwanted)) => wanted == membership || unwanted != membership,
        }
    }
}

/// The member events of a room, as `{"chunk": [...]}`. `at` is a place in the log that this process has reached.
pub async fn get_members(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    at: Option<Sequence>,
    filter: MemberFilter,
) -> Result<Vec<u8>, ServiceError> {
    let mut view = view_room(ctx, requester, room_id).await?;
    let complete = until_complete(ctx, requester.user, view.room.nid).await?;
    if complete > view.up_to {
        view = view_room(ctx, requester, room_id).await?;
    }
    let up_to = at.map_or(view.up_to, |at| at.max(complete).min(view.up_to));
    if at.is_some() {
        require_sight(ctx, requester, &view, up_to).await?;
    }
    let members = ctx.store.room_members_at(view.room.nid, up_to).await?;
    let wanted = members.iter().filter(|(_, member)| filter.keeps(member.membership));
    let nids: Vec<EventNid> = wanted.map(|(_, member)| member.event).collect();
    let events = ctx.store.events(&nids).await?;
    let mut out = Vec::with_capacity(room_for(&events));
    out.extend_from_slice(b"{\"chunk\":");
    write_state(ctx, &events, Style::default(), &mut out);
    out.push(b'}');
    Ok(out)
}

/// Who the members were at a place is for those who may see what was said there last.
async fn require_sight(ctx: &Ctx, requester: &Requester, view: &View, at: Sequence) -> Result<(), ServiceError> {
    let last = ctx.store.events_between(view.room.nid, 0, at, 1).await?;
    match last.first() {
        Some(event) if !Sights::new(ctx, requester, view).sees(event).await? => {
            Err(ServiceError::forbidden("You may not see the room as it was then"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Who is in the room, with what their member events show of them, as `{"joined": {...}}`.
pub async fn get_joined_members(ctx: &Ctx, requester: &Requester, room_id: &RoomId) -> Result<Vec<u8>, ServiceError> {
    let joined = require_joined(ctx, requester, room_id).await?;
    until_complete(ctx, requester.user, joined.nid).await?;
    let View { room, up_to, .. } = view_room(ctx, requester, room_id).await?;
    let members = ctx.store.room_members_at(room.nid, up_to).await?;
    let nids: Vec<EventNid> = members.with(Membership::Join).map(|(_, member)| member.event).collect();
    let mut out = b"{\"joined\":{".to_vec();
    for (i, event) in ctx.store.events(&nids).await?.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_joined_member(event, &mut out);
    }
    out.extend_from_slice(b"}}");
    Ok(out)
}

fn write_joined_member(event: &StoredEvent, out: &mut Vec<u8>) {
    write_string(out, event.body.state_key().unwrap_or_default());
    out.extend_from_slice(b":{");
    let fields = [("display_name", "displayname"), ("avatar_url", "avatar_url")];
    for (i, (name, key)) in fields.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_string(out, name);
        out.push(b':');
        // Null where there is none: clients of 2019 count on the keys.
        match event.body.content_string(key) {
            Some(value) => write_string(out, &value),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
}

/// The requester's rooms that he is in, by id.
pub async fn list_joined_rooms(ctx: &Ctx, requester: &Requester) -> Result<Vec<ruma::OwnedRoomId>, ServiceError> {
    let rooms = ctx.store.user_rooms(requester.user).await?;
    let mut joined = Vec::with_capacity(rooms.joined());
    for (room, _) in rooms.with(Membership::Join) {
        let room = ctx.store.room_by_nid(room).await?;
        joined.push(
            room.ok_or_else(|| ServiceError::internal("a membership of an unknown room"))?
                .id
                .clone(),
        );
    }
    Ok(joined)
}

/// About how long a list of events is.
fn room_for(events: &[Arc<StoredEvent>]) -> usize {
    events.iter().map(|event| event.body.json().len() + EVENT_BYTES).sum()
}
