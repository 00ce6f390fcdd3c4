//! The summary of a room: how many are in it, and by whom to name it if it has no name.

use plexus_core::{ids::UserNid, row::Membership, state::Difference};
use plexus_storage::memberships::RoomMembers;

use super::{
    scope::Scope,
    state::{self, Member},
    timeline::Timeline,
    visits::Visit,
};
use crate::ServiceError;

/// How many heroes a room without a name has.
const HEROES: usize = 5;

/// The kinds of state that a summary follows from.
const KINDS: [&str; 3] = ["m.room.member", "m.room.name", "m.room.canonical_alias"];

/// What a device is told of a room to show it in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) joined: usize,
    pub(super) invited: usize,
    /// None for a room that has a name.
    pub(super) heroes: Option<Vec<Member>>,
}

/// The summary of a room; none if it is as the device was told last.
pub(super) async fn summarize(
    scope: &Scope<'_>,
    visit: &Visit,
    timeline: &Timeline,
) -> Result<Option<Summary>, ServiceError> {
    if !state::is_whole(scope, visit) && !has_changed(scope, visit, timeline).await? {
        return Ok(None);
    }
    let members = scope
        .ctx
        .store
        .room_members_at(visit.room.nid, scope.window.up_to)
        .await?;
    let heroes = if has_name(scope, visit, timeline).await? {
        None
    } else {
        Some(heroes(scope, &members).await?)
    };
    Ok(Some(Summary {
        joined: members.joined(),
        invited: members.invited(),
        heroes,
    }))
}

async fn has_changed(scope: &Scope<'_>, visit: &Visit, timeline: &Timeline) -> Result<bool, ServiceError> {
    if timeline.since_root == timeline.end_root {
        return Ok(false);
    }
    let store = &scope.ctx.store;
    let differences = store
        .state_diff(visit.room.nid, timeline.since_root, timeline.end_root)
        .await?;
    let keys: Vec<_> = differences.iter().map(|difference| difference.key).collect();
    let pairs = store.state_keys(&keys).await?;
    for (difference, pair) in differences.iter().zip(pairs) {
        let Some(pair) = pair.filter(|pair| KINDS.contains(&pair.0.as_str())) else {
            continue;
        };
        if pair.0 != "m.room.member" || changes_membership(scope, difference).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether somebody came or went: a member who only calls himself otherwise is where he was.
async fn changes_membership(scope: &Scope<'_>, difference: &Difference) -> Result<bool, ServiceError> {
    let (Some(old), Some(new)) = (difference.old, difference.new) else {
        return Ok(true);
    };
    let events = scope.ctx.store.events(&[old, new]).await?;
    Ok(events[0].body.membership() != events[1].body.membership())
}

async fn has_name(scope: &Scope<'_>, visit: &Visit, timeline: &Timeline) -> Result<bool, ServiceError> {
    for (kind, field) in [("m.room.name", "name"), ("m.room.canonical_alias", "alias")] {
        let event = scope
            .ctx
            .store
            .state_event(visit.room.nid, timeline.end_root, kind, "")
            .await?;
        if event
            .and_then(|event| event.body.content_string(field))
            .is_some_and(|name| !name.is_empty())
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Those by whom the room is named, in the order of their ids: of the members, or else of those who were, the ones that have been so for longest.
async fn heroes(scope: &Scope<'_>, members: &RoomMembers) -> Result<Vec<Member>, ServiceError> {
    let own = scope.requester.user;
    let mut chosen = first(members, own, &[Membership::Join, Membership::Invite]);
    if chosen.is_empty() {
        chosen = first(members, own, &[Membership::Leave, Membership::Ban]);
    }
    let user_ids = scope.ctx.store.user_ids(&chosen).await?;
    let mut heroes: Vec<Member> = chosen
        .into_iter()
        .zip(user_ids)
        .filter_map(|(user, user_id)| {
            Some(Member {
                user,
                user_id: user_id?.as_str().to_owned(),
            })
        })
        .collect();
    heroes.sort_unstable_by(|one, other| one.user_id.cmp(&other.user_id));
    Ok(heroes)
}

/// The members that have been so for longest, without the user himself. Of a large room, few are looked at.
fn first(members: &RoomMembers, own: UserNid, memberships: &[Membership]) -> Vec<UserNid> {
    members
        .oldest_first()
        .filter(|(user, member)| *user != own && memberships.contains(&member.membership))
        .map(|(user, _)| user)
        .take(HEROES)
        .collect()
}
