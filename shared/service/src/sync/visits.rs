//! Which rooms an answer tells of, and as what.

use std::sync::Arc;

use plexus_core::{ids::RoomNid, position::Sequence, row::Membership};
use plexus_storage::{memberships::RoomMembership, partial_rooms::PartialRooms, rooms::RoomInfo};

use super::scope::{Scope, Typing};
use crate::ServiceError;

/// Most changes of one membership that are looked back through; a user with more of them since his last sync is treated as if he had been away.
const CHANGES_LOOKED_BACK_MAX: usize = 100;

/// A room that an answer tells of.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub(super) room: Arc<RoomInfo>,
    pub(super) kind: VisitKind,
    /// The member event that makes the user what he is to the room.
    pub(super) member: RoomMembership,
}

/// As what an answer tells of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VisitKind {
    /// Joined, and so all the time since the device was last told something: what is new.
    Joined,
    /// Joined since then: everything.
    NewlyJoined,
    /// Invited since then.
    Invited,
    /// Knocked since then.
    Knocked,
    /// Is not in the room any more.
    Left {
        /// Whether the device has been told of the room as joined, and told everything until then.
        was_told: bool,
        /// The member event that made him a member for the last time, or the last one while he was.
        last_join: Sequence,
        /// The member event that ended it: `member`, unless he has been invited once more, or banned, since.
        in_until: Sequence,
    },
    /// Is not in the room, and was not since the device was last told something: an invitation withdrawn or refused, a ban of a stranger.
    NeverIn,
}

/// The rooms an answer tells of, in the order of their numbers.
pub(super) async fn choose(scope: &Scope<'_>) -> Result<Vec<Visit>, ServiceError> {
    let rooms = scope
        .ctx
        .store
        .user_rooms_at(scope.requester.user, scope.window.up_to)
        .await?;
    let candidates: Vec<(RoomNid, RoomMembership)> = match touched(scope) {
        Some(touched) => touched
            .into_iter()
            .filter_map(|room| Some((room, rooms.get(room)?)))
            .collect(),
        None => rooms.iter().collect(),
    };
    let partial = scope.ctx.store.partial_rooms().await?;
    let mut visits = Vec::new();
    for (room, member) in candidates {
        scope.effort.spend(1).await;
        if let Some(kind) = kind(scope, &partial, room, member).await? {
            let info = scope.ctx.store.room_by_nid(room).await?;
            let room = info.ok_or_else(|| ServiceError::internal(format!("room {} is not in rooms", room.0)))?;
            if scope.filter.room.shows_room(room.id.as_str()) {
                visits.push(Visit { room, kind, member });
            }
        }
    }
    Ok(visits)
}

/// The rooms in which anything at all has happened in the window, the user's or not; none if that is not remembered, or if it is not what matters. A device
/// that was told something a moment ago is answered without a look at the rooms where nothing has happened.
fn touched(scope: &Scope<'_>) -> Option<Vec<RoomNid>> {
    if scope.full_state {
        return None;
    }
    let mut rooms = scope.ctx.store.rooms_changed(scope.window.after())?;
    match scope.window.typing() {
        Typing::Nothing => {}
        Typing::After(told) => rooms.extend(scope.ctx.store.rooms_typed(told)?),
        Typing::Current | Typing::All => return None,
    }
    rooms.extend(scope.account_data.rooms());
    rooms.sort_unstable();
    rooms.dedup();
    Some(rooms)
}

/// As what the room is told of; none if there is nothing to tell.
async fn kind(
    scope: &Scope<'_>,
    partial: &PartialRooms,
    room: RoomNid,
    member: RoomMembership,
) -> Result<Option<VisitKind>, ServiceError> {
    let is_news = member.position > scope.window.after();
    // Of a room whose members are on their way, devices learn that do without them; the others once they are there.
    if member.membership == Membership::Join && !scope.filter.room.state.lazy_load_members {
        match partial.get(&room) {
            Some(None) => return Ok(None),
            Some(Some(completed)) if *completed > scope.window.up_to => return Ok(None),
            Some(Some(completed)) if *completed > scope.window.after() => return Ok(Some(VisitKind::NewlyJoined)),
            Some(Some(_)) | None => {}
        }
    }
    match member.membership {
        Membership::Join if !is_news => Ok(may_have_news(scope, room).then_some(VisitKind::Joined)),
        Membership::Join if was_joined_all_along(scope, room, member).await? => Ok(Some(VisitKind::Joined)),
        Membership::Join => Ok(Some(VisitKind::NewlyJoined)),
        Membership::Invite if is_from_ignored(scope, member).await? => Ok(None),
        Membership::Invite => Ok((is_news || scope.full_state).then_some(VisitKind::Invited)),
        Membership::Knock => Ok((is_news || scope.full_state).then_some(VisitKind::Knocked)),
        Membership::Leave | Membership::Ban if is_told_as_left(scope, member, is_news) => {
            left(scope, room, member).await.map(Some)
        }
        Membership::Leave | Membership::Ban => Ok(None),
    }
}

/// Whether anything has happened in a room the user has been in all along. Nothing is loaded to find out: this is asked for each of his rooms.
fn may_have_news(scope: &Scope<'_>, room: RoomNid) -> bool {
    if scope.full_state || scope.ctx.store.last_change(room) > scope.window.after() || scope.account_data.has(room) {
        return true;
    }
    match scope.window.typing() {
        Typing::Nothing => false,
        Typing::After(told) => scope.ctx.store.typing(room).position > told,
        Typing::Current => !scope.ctx.store.typing(room).users.is_empty(),
        Typing::All => true,
    }
}

/// Whether an invitation is from somebody the user does not want to hear.
async fn is_from_ignored(scope: &Scope<'_>, invite: RoomMembership) -> Result<bool, ServiceError> {
    if scope.ignored.is_empty() {
        return Ok(false);
    }
    let event = scope.ctx.store.event(invite.event).await?;
    Ok(event.is_some_and(|event| scope.ignored.contains(event.body.sender())))
}

fn is_told_as_left(scope: &Scope<'_>, member: RoomMembership, is_news: bool) -> bool {
    // A device that still shows a forgotten room as joined has to learn that it is not.
    let is_archived = scope.filter.room.include_leave && !member.forgotten;
    match scope.window.since {
        Some(_) => is_news || scope.full_state && is_archived,
        None => is_archived,
    }
}

/// Whether the user, who is joined, was so at every place since the device was last told something.
async fn was_joined_all_along(scope: &Scope<'_>, room: RoomNid, now: RoomMembership) -> Result<bool, ServiceError> {
    let Some(since) = scope.window.since else {
        return Ok(false);
    };
    let mut member = now;
    for _ in 0..CHANGES_LOOKED_BACK_MAX {
        if member.position <= since.position {
            return Ok(true);
        }
        match before(scope, room, member).await? {
            Some(earlier) if earlier.membership == Membership::Join => member = earlier,
            Some(_) | None => return Ok(false),
        }
    }
    Ok(false)
}

pub(super) async fn left(scope: &Scope<'_>, room: RoomNid, leave: RoomMembership) -> Result<VisitKind, ServiceError> {
    let mut end = leave;
    for _ in 0..CHANGES_LOOKED_BACK_MAX {
        if end.position <= scope.window.after() {
            break;
        }
        match before(scope, room, end).await? {
            Some(join) if join.membership == Membership::Join => {
                let was_told = !scope.full_state && was_joined_all_along(scope, room, join).await?;
                return Ok(VisitKind::Left {
                    was_told,
                    last_join: join.position,
                    in_until: end.position,
                });
            }
            Some(earlier) => end = earlier,
            None => break,
        }
    }
    Ok(VisitKind::NeverIn)
}

async fn before(
    scope: &Scope<'_>,
    room: RoomNid,
    member: RoomMembership,
) -> Result<Option<RoomMembership>, ServiceError> {
    Ok(scope
        .ctx
        .store
        .membership_at(scope.requester.user, room, member.position - 1)
        .await?)
}
