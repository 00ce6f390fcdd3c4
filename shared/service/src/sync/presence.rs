//! Who is there: those who share a room with the user, and himself.

use std::collections::{BTreeMap, HashSet};

use plexus_core::{
    ids::{RoomNid, UserNid},
    row::{Membership, PresenceState},
};
use plexus_storage::{StoredPresence, memberships::UserRooms};

use super::{
    event::push_comma,
    scope::{Scope, Typing},
    visits::{Visit, VisitKind},
};
use crate::{
    ServiceError,
    presence::{share_room, write_event},
};

/// Most people told of because a room is new to the device: those who changed last.
const NEW_PEERS_MAX: usize = 2_000;

/// Members of a room up to which those who are not there are told of too when it is new to the device, or they to it.
const SMALL_ROOM_MAX: usize = 20;

/// Those told of, each once; of some nothing is known, which is being offline.
type Told = BTreeMap<UserNid, Option<StoredPresence>>;

/// Appends the member `presence`; whether there is anything new.
pub(super) async fn write(scope: &Scope<'_>, visits: &[Visit], out: &mut Vec<u8>) -> Result<bool, ServiceError> {
    if !scope.ctx.config.social.presence || !scope.filter.presence.shows_type("m.presence") {
        return Ok(false);
    }
    let mut told = Told::new();
    let rooms = scope.ctx.store.user_rooms(scope.requester.user).await?;
    match if scope.full_state {
        Typing::Current
    } else {
        scope.window.typing()
    } {
        Typing::Nothing => {}
        Typing::After(after) => add_changed(scope, after, &mut told).await?,
        Typing::Current => add_peers(scope, &all_joined(&rooms), true, &mut told).await?,
        Typing::All => add_peers(scope, &all_joined(&rooms), false, &mut told).await?,
    }
    if !scope.full_state {
        let new_rooms = visits.iter().filter(|visit| visit.kind == VisitKind::NewlyJoined);
        let new_rooms: Vec<RoomNid> = new_rooms.map(|visit| visit.room.nid).collect();
        add_everybody(scope, &new_rooms, &mut told).await?;
        add_peers(scope, &new_rooms, true, &mut told).await?;
        add_newcomers(scope, visits, &rooms, &mut told).await?;
    }
    write_told(scope, &told, out).await
}

/// Those who have changed, of those who concern the user.
async fn add_changed(scope: &Scope<'_>, after: i64, told: &mut Told) -> Result<(), ServiceError> {
    let own = scope.requester.user;
    for stored in scope.ctx.store.presences_changed(after) {
        let user = stored.row.user;
        if user == own || share_room(scope.ctx, own, user).await? {
            told.insert(user, Some(stored));
        }
    }
    Ok(())
}

fn all_joined(rooms: &UserRooms) -> Vec<RoomNid> {
    rooms.with(Membership::Join).map(|(room, _)| room).collect()
}

/// Everybody in these rooms, and the user himself.
async fn add_peers(
    scope: &Scope<'_>,
    rooms: &[RoomNid],
    only_there: bool,
    told: &mut Told,
) -> Result<(), ServiceError> {
    let store = &scope.ctx.store;
    let mut found: Vec<StoredPresence> = Vec::new();
    let mut seen = HashSet::new();
    for room in rooms {
        let members = store.room_members(*room).await?;
        let joined = members.with(Membership::Join).map(|(user, _)| user);
        let peers = store.presences_of(joined);
        found.extend(peers.into_iter().filter(|stored| seen.insert(stored.row.user)));
    }
    found.retain(|stored| !only_there || stored.row.state != PresenceState::Offline);
    found.sort_unstable_by_key(|stored| std::cmp::Reverse(stored.position));
    found.truncate(NEW_PEERS_MAX);
    if !rooms.is_empty() || scope.window.since.is_none() {
        found.extend(store.presence(scope.requester.user));
    }
    told.extend(found.into_iter().map(|stored| (stored.row.user, Some(stored))));
    Ok(())
}

/// Everybody in those of the rooms that are small, there or not.
async fn add_everybody(scope: &Scope<'_>, rooms: &[RoomNid], told: &mut Told) -> Result<(), ServiceError> {
    let store = &scope.ctx.store;
    for room in rooms {
        let members = store.room_members(*room).await?;
        if members.joined() <= SMALL_ROOM_MAX {
            let joined = members.with(Membership::Join).map(|(user, _)| user);
            told.extend(joined.map(|user| (user, store.presence(user))));
        }
    }
    Ok(())
}

/// Those who have come into a room the user has been in all along.
async fn add_newcomers(
    scope: &Scope<'_>,
    visits: &[Visit],
    rooms: &UserRooms,
    told: &mut Told,
) -> Result<(), ServiceError> {
    let store = &scope.ctx.store;
    let after = scope.window.after();
    let mut users: Vec<UserNid> = Vec::new();
    if let Some(changes) = store.recent_member_changes(after, scope.window.up_to) {
        let is_in = |room| {
            rooms
                .get(room)
                .is_some_and(|member| member.membership == Membership::Join)
        };
        users.extend(
            changes
                .iter()
                .filter(|change| is_in(change.room))
                .map(|change| change.user),
        );
    } else {
        for visit in visits.iter().filter(|visit| visit.kind == VisitKind::Joined) {
            let members = store.room_members(visit.room.nid).await?;
            if members.last_change() > after {
                let new = members.iter().filter(|(_, member)| member.position > after);
                users.extend(new.map(|(user, _)| user));
            }
        }
    }
    users.sort_unstable();
    users.dedup();
    users.retain(|user| *user != scope.requester.user);
    users.truncate(NEW_PEERS_MAX);
    let tells_all = users.len() <= SMALL_ROOM_MAX;
    for user in users {
        let stored = store.presence(user);
        let is_there = stored
            .as_ref()
            .is_some_and(|stored| stored.row.state != PresenceState::Offline);
        if (is_there || tells_all) && share_room(scope.ctx, scope.requester.user, user).await? {
            told.insert(user, stored);
        }
    }
    Ok(())
}

async fn write_told(scope: &Scope<'_>, told: &Told, out: &mut Vec<u8>) -> Result<bool, ServiceError> {
    if told.is_empty() {
        return Ok(false);
    }
    let users: Vec<UserNid> = told.keys().copied().collect();
    let user_ids = scope.ctx.store.user_ids(&users).await?;
    let mut events = Vec::new();
    for (user_id, stored) in user_ids.iter().zip(told.values()) {
        let Some(user_id) = user_id else { continue };
        if scope.filter.presence.shows("m.presence", Some(user_id.as_str())) {
            push_comma(&mut events);
            write_event(
                user_id,
                stored.as_ref().map(|stored| &*stored.row),
                false,
                scope.now_ms,
                &mut events,
            );
        }
    }
    if events.is_empty() {
        return Ok(false);
    }
    push_comma(out);
    out.extend_from_slice(b"\"presence\":{\"events\":[");
    out.extend_from_slice(&events);
    out.extend_from_slice(b"]}");
    Ok(true)
}
