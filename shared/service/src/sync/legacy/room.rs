//! `GET /rooms/{roomId}/initialSync`: one room, for its members, for those who were, and for who looks in from outside.

use plexus_core::{
    event::json::{self, write_string},
    filter::{Filter, PageFilter},
    row::{Membership, PresenceRow},
};
use plexus_storage::{events::Direction, memberships::RoomMembership};
use ruma::{RoomId, UserId};

use super::{format, initial::write_visibility, scope};
use crate::{
    Ctx, Requester, ServiceError, presence,
    rooms::{
        access::{View, view_room},
        messages::{PageRequest, get_messages},
        state::get_state,
    },
    sync::{
        account_data, ephemeral,
        event::push_comma,
        scope::{Scope, Window},
        visits::{Visit, VisitKind},
    },
};

/// Most members whose presence is told.
const PRESENCES_MAX: usize = 2_000;

/// What there is to know of a room, as JSON, with its newest `limit` events.
pub async fn get_room_initial_sync(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    limit: usize,
) -> Result<Vec<u8>, ServiceError> {
    ctx.replica.head().await?;
    let filter = Filter::parse(br#"{"room":{"ephemeral":{"types":["m.receipt"]}}}"#).map_err(ServiceError::internal)?;
    let scope = scope(ctx, requester, &filter, Window::now(ctx, None)).await?;
    let view = view_room(ctx, requester, room_id).await?;
    let request = PageRequest {
        from: None,
        to: None,
        direction: Direction::Backward,
        limit: Some(limit.min(ctx.config.sync.timeline_limit_max)),
        filter: PageFilter::default(),
    };
    let page = get_messages(ctx, requester, room_id, request).await?;
    let state = get_state(ctx, requester, room_id).await?;
    let is_there = has_left(&view).is_none();
    let mut out = Vec::with_capacity(page.len() + state.len() + 1024);
    out.extend_from_slice(b"{\"room_id\":");
    write_string(&mut out, room_id.as_str());
    out.extend_from_slice(b",\"membership\":");
    // Who looks in is taken for a member: there is no word for him.
    write_string(&mut out, has_left(&view).unwrap_or(Membership::Join).as_str());
    out.extend_from_slice(b",\"messages\":");
    let now = is_there.then(|| scope.window.next(ctx, 0).to_string());
    write_messages(room_id, &String::from_utf8_lossy(&page), now, &mut out);
    write_list("state", &mut out, |out| {
        for event in json::elements(&String::from_utf8_lossy(&state)) {
            format::write_event(event, room_id, out);
        }
    });
    write_rest(&scope, &view, is_there, &mut out).await?;
    out.push(b'}');
    Ok(out)
}

/// What he is who is not in the room any more.
fn has_left(view: &View) -> Option<Membership> {
    let is_out = |membership: &Membership| matches!(membership, Membership::Leave | Membership::Ban);
    view.membership.filter(is_out)
}

/// Appends a page that was read backwards the other way round.
fn write_messages(room_id: &RoomId, page: &str, now: Option<String>, out: &mut Vec<u8>) {
    let token = |name: &str| json::get(page, name).unwrap_or("\"\"").to_owned();
    let start = json::get(page, "end").map_or_else(|| token("start"), str::to_owned);
    out.extend_from_slice(b"{\"start\":");
    out.extend_from_slice(start.as_bytes());
    out.extend_from_slice(b",\"end\":");
    match now {
        Some(now) => write_string(out, &now),
        None => out.extend_from_slice(token("start").as_bytes()),
    }
    let events: Vec<&str> = json::get(page, "chunk").map_or_else(Vec::new, |chunk| json::elements(chunk).collect());
    write_list("chunk", out, |out| {
        for event in events.iter().rev() {
            format::write_event(event, room_id, out);
        }
    });
    out.push(b'}');
}

/// Appends what is not of the room's history.
async fn write_rest(scope: &Scope<'_>, view: &View, is_there: bool, out: &mut Vec<u8>) -> Result<(), ServiceError> {
    let visit = Visit {
        room: view.room.clone(),
        kind: VisitKind::NewlyJoined,
        // Nothing that is read here asks which event made him a member.
        member: RoomMembership {
            membership: Membership::Join,
            event: plexus_core::ids::EventNid(0),
            position: 0,
            forgotten: false,
        },
    };
    write_visibility(scope, &visit, out).await?;
    let (mut receipts, mut presences) = (Vec::new(), Vec::new());
    if is_there {
        ephemeral::write(scope, &visit, &mut receipts).await?;
        write_presences(scope, &visit, &mut presences).await?;
    }
    write_list("receipts", out, |out| {
        for receipt in format::events_of(&receipts) {
            format::write_with(&receipt, Some(&visit.room.id), out);
        }
    });
    write_list("presence", out, |out| out.extend_from_slice(&presences));
    let mut own = Vec::new();
    account_data::write_of_room(scope, &visit, &mut own).await?;
    write_list("account_data", out, |out| out.extend_from_slice(&own));
    Ok(())
}

/// Appends who of the room's members is there.
async fn write_presences(scope: &Scope<'_>, visit: &Visit, out: &mut Vec<u8>) -> Result<(), ServiceError> {
    let store = &scope.ctx.store;
    if !scope.ctx.config.social.presence {
        return Ok(());
    }
    let members = store.room_members_at(visit.room.nid, scope.window.up_to).await?;
    let joined = members.with(Membership::Join).map(|(user, _)| user);
    let users: Vec<_> = joined.take(PRESENCES_MAX).collect();
    let known = store.presences_of(users.iter().copied());
    for (user, user_id) in users.iter().zip(store.user_ids(&users).await?) {
        if let Some(user_id) = user_id {
            let stored = known.iter().find(|stored| stored.row.user == *user);
            write_presence(scope, &user_id, stored.map(|stored| &*stored.row), out);
        }
    }
    Ok(())
}

/// Appends one user's presence.
pub(super) fn write_presence(scope: &Scope<'_>, user_id: &UserId, row: Option<&PresenceRow>, out: &mut Vec<u8>) {
    push_comma(out);
    presence::write_event(user_id, row, true, scope.now_ms, out);
}

/// Appends a member of an object that has others already: a list, written by `write`.
fn write_list(name: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b',');
    write_string(out, name);
    out.extend_from_slice(b":[");
    write(out);
    out.push(b']');
}
