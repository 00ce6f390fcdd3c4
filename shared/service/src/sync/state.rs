//! The state part of a room: what the device has to know of the room's state besides what the timeline shows.

use std::collections::BTreeMap;

use plexus_core::{
    filter::RoomEventFilter,
    ids::{EventNid, NodeId, StateKeyNid, UserNid},
};

use super::{
    scope::Scope,
    timeline::Timeline,
    visits::{Visit, VisitKind},
};
use crate::ServiceError;

/// A user whose member event the device needs to show something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member {
    pub(super) user: UserNid,
    pub(super) user_id: String,
}

type Entries = BTreeMap<StateKeyNid, EventNid>;

/// Whether the device knows nothing of the room's state, so that it is told all of it.
pub(super) fn is_whole(scope: &Scope<'_>, visit: &Visit) -> bool {
    match visit.kind {
        VisitKind::Joined => scope.full_state,
        VisitKind::Left { was_told, .. } => !was_told,
        VisitKind::NewlyJoined => true,
        VisitKind::Invited | VisitKind::Knocked | VisitKind::NeverIn => false,
    }
}

/// The state events that go with a timeline. `heroes` are members that the summary names.
pub(super) async fn collect(
    scope: &Scope<'_>,
    visit: &Visit,
    timeline: &Timeline,
    heroes: &[Member],
) -> Result<Vec<EventNid>, ServiceError> {
    let filter = &scope.filter.room.state;
    if visit.kind == VisitKind::NeverIn || !filter.shows_room(visit.room.id.as_str()) {
        return Ok(Vec::new());
    }
    let whole = is_whole(scope, visit);
    let told = if whole { NodeId::EMPTY } else { timeline.since_root };
    let target = if scope.state_after {
        timeline.end_root
    } else {
        timeline.start_root
    };
    let mut entries = if whole && filter.lazy_load_members {
        // Of a large room this is nearly nothing.
        let state = scope.ctx.store.state_without_members(visit.room.nid, target).await?;
        Entries::clone(&state)
    } else {
        changes(scope, visit, told, target).await?
    };
    if !scope.state_after {
        // What the timeline would change but does not show: a filter hides it, or the state was resolved anew.
        let later = changes(scope, visit, timeline.start_root, timeline.end_root).await?;
        entries.extend(later.into_iter().filter(|(_, event)| !timeline.shows(*event)));
    }
    let mut members = Vec::new();
    if filter.lazy_load_members {
        members = needed_members(scope, visit, timeline, heroes, &entries, target).await?;
    }
    keep_wanted(scope, filter, whole, &mut entries).await?;
    let mut events: Vec<EventNid> = entries.into_values().collect();
    events.extend(members);
    events.sort_unstable();
    events.dedup();
    Ok(events)
}

/// What is new at `new` for who knows the state at `old`. That a key is no longer there cannot be told.
async fn changes(scope: &Scope<'_>, visit: &Visit, old: NodeId, new: NodeId) -> Result<Entries, ServiceError> {
    if old == new {
        return Ok(Entries::new());
    }
    let (store, room) = (&scope.ctx.store, visit.room.nid);
    if old == NodeId::EMPTY {
        return Ok(store.state(room, new).await?.into_iter().collect());
    }
    let differences = store.state_diff(room, old, new).await?;
    Ok(differences
        .into_iter()
        .filter_map(|found| Some((found.key, found.new?)))
        .collect())
}

/// Takes out what the filter does not show by its type; of a whole state with lazy members, every member that is left.
async fn keep_wanted(
    scope: &Scope<'_>,
    filter: &RoomEventFilter,
    whole: bool,
    entries: &mut Entries,
) -> Result<(), ServiceError> {
    let drop_members = filter.lazy_load_members && whole;
    if entries.is_empty() || !drop_members && filter.events.shows_all() {
        return Ok(());
    }
    let keys: Vec<StateKeyNid> = entries.keys().copied().collect();
    let pairs = scope.ctx.store.state_keys(&keys).await?;
    for (key, pair) in keys.iter().zip(pairs) {
        scope.effort.spend(1).await;
        let pair = pair.ok_or_else(|| ServiceError::internal(format!("state key {} is not in state_keys", key.0)))?;
        let is_member = pair.0 == "m.room.member";
        if drop_members && is_member || !filter.events.shows_type(&pair.0) {
            entries.remove(key);
        }
    }
    Ok(())
}

/// With lazy members: the member events of the senders that are shown, of the heroes, and the user's own with a whole state; those that the device does not
/// have yet.
async fn needed_members(
    scope: &Scope<'_>,
    visit: &Visit,
    timeline: &Timeline,
    heroes: &[Member],
    entries: &Entries,
    root: NodeId,
) -> Result<Vec<EventNid>, ServiceError> {
    let whole = is_whole(scope, visit);
    let store = &scope.ctx.store;
    let sent = &scope.ctx.sent_members;
    let device = (scope.requester.user, scope.requester.device_id.as_str());
    let may_repeat = whole || scope.filter.room.state.include_redundant_members;
    let mut events = Vec::new();
    for member in needed(scope, timeline, heroes, whole) {
        let known = sent.knows(device, visit.room.nid, member.user, scope.window.after());
        if known && !may_repeat {
            continue;
        }
        let Some(key) = store.state_key_nid("m.room.member", &member.user_id).await? else {
            continue;
        };
        let event = match entries.get(&key) {
            Some(event) => Some(*event),
            None => store.state_get(visit.room.nid, root, key).await?,
        };
        if let Some(event) = event {
            events.push(event);
            sent.mark(device, visit.room.nid, member.user, scope.window.up_to);
        }
    }
    Ok(events)
}

fn needed(scope: &Scope<'_>, timeline: &Timeline, heroes: &[Member], whole: bool) -> Vec<Member> {
    let mut needed = heroes.to_vec();
    for event in &timeline.events {
        if !needed.iter().any(|member| member.user == event.sender) {
            needed.push(Member {
                user: event.sender,
                user_id: event.body.sender().as_str().to_owned(),
            });
        }
    }
    let own = scope.requester.user;
    if whole && !needed.iter().any(|member| member.user == own) {
        needed.push(Member {
            user: own,
            user_id: scope.requester.user_id.as_str().to_owned(),
        });
    }
    needed
}
