//! Reading a room's state and its members.

use plexus_core::{ids::EventNid, row::Membership};
use plexus_storage::events::StoredEvent;
use ruma::RoomId;

use super::access::{View, require_joined, view_room};
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
    Ok(write_list(ctx, events.iter().map(AsRef::as_ref)))
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
        self.membership.is_none_or(|wanted| wanted == membership)
            && self.not_membership.is_none_or(|unwanted| unwanted != membership)
    }
}

/// The member events of a room, as `{"chunk": [...]}`. `at` is a place in the log that this process has reached.
pub async fn get_members(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    at: Option<plexus_core::position::Sequence>,
    filter: MemberFilter,
) -> Result<Vec<u8>, ServiceError> {
    let view = view_room(ctx, requester, room_id).await?;
    let up_to = at.map_or(view.up_to, |at| at.min(view.up_to));
    let members = ctx.store.room_members_at(view.room.nid, up_to).await?;
    let wanted = members.iter().filter(|(_, member)| filter.keeps(member.membership));
    let nids: Vec<EventNid> = wanted.map(|(_, member)| member.event).collect();
    let events = ctx.store.events(&nids).await?;
    let mut out = b"{\"chunk\":".to_vec();
    out.append(&mut write_list(ctx, events.iter().map(AsRef::as_ref)));
    out.push(b'}');
    Ok(out)
}

/// Who is in the room, with what their member events show of them, as `{"joined": {...}}`.
pub async fn get_joined_members(ctx: &Ctx, requester: &Requester, room_id: &RoomId) -> Result<Vec<u8>, ServiceError> {
    require_joined(ctx, requester, room_id).await?;
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
    let mut first = true;
    for (name, key) in fields {
        if let Some(value) = event.body.content_string(key) {
            if !first {
                out.push(b',');
            }
            first = false;
            write_string(out, name);
            out.push(b':');
            write_string(out, &value);
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

fn write_list<'a>(ctx: &Ctx, events: impl Iterator<Item = &'a StoredEvent> + Clone) -> Vec<u8> {
    let now_ms = ctx.clock.now_ms();
    let bytes: usize = events.clone().map(|event| event.body.json().len() + EVENT_BYTES).sum();
    let mut out = Vec::with_capacity(bytes);
    out.push(b'[');
    for (i, event) in events.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        ClientEvent::new(event, now_ms).write(&mut out);
    }
    out.push(b']');
    out
}
