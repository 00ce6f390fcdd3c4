//! The timeline of a room: the newest events of the window, as many as the device takes.

use std::sync::Arc;

use plexus_core::{
    filter::RoomEventFilter,
    ids::{EventNid, NodeId},
    position::Sequence,
    row::Membership,
};
use plexus_storage::{events::StoredEvent, room_gaps::begins_after_gap};

use super::{
    scope::Scope,
    visits::{Visit, VisitKind},
};
use crate::{
    ServiceError,
    rooms::access::{Sights, View, is_held_back},
};

/// How many events a device gets that does not say how many it wants.
const LIMIT_DEFAULT: usize = 10;

/// Most events that are looked at in a room to find those a filter shows. What is beyond is a gap, which the device can page into.
const SCANNED_MAX: usize = 1_000;

/// How many events are read at once of those beyond the first few.
const PAGE: usize = 100;

/// Most events found that the user may not see, before no more are looked at: those before them are hardly ever for him.
const UNSEEN_MAX: usize = 100;

/// What a device is told of a room's timeline.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// In the order of the timeline.
    pub(super) events: Vec<Arc<StoredEvent>>,
    /// Whether there are events before these that the device has not been told of.
    pub(super) limited: bool,
    /// The `room_order` right before which these begin; none if the room has no events at all.
    pub(super) begins_before: Option<i64>,
    /// The state that the device was told last.
    pub(super) since_root: NodeId,
    /// The state right before the first of them.
    pub(super) start_root: NodeId,
    /// The state after the last event of the window while the user was in the room, shown or not.
    pub(super) end_root: NodeId,
    /// From here on the user was there.
    pub(super) was_there_after: Sequence,
}

/// Which events of a room can be told of.
#[derive(Clone, Copy, Debug)]
struct Range {
    after: Sequence,
    up_to: Sequence,
    /// Up to here the user was in the room, and may know its state.
    in_until: Sequence,
    /// From here on the user sees everything, and so nothing has to be looked up.
    sees_all_after: Sequence,
}

/// The timeline of a room.
pub(super) async fn read(scope: &Scope<'_>, visit: &Visit) -> Result<Timeline, ServiceError> {
    let range = range(scope, visit);
    let end_root = root_at(scope, visit, range.in_until).await?;
    let since_root = root_at(scope, visit, range.after.min(range.in_until)).await?;
    let view = view(scope, visit, end_root);
    let filter = &scope.filter.room.timeline;
    let limit = filter.events.limit.unwrap_or(LIMIT_DEFAULT);
    let limit = limit.min(scope.ctx.config.sync.timeline_limit_max);
    let (events, limited) = if filter.shows_room(visit.room.id.as_str()) {
        scan(scope, visit, &view, range, limit).await?
    } else {
        (Vec::new(), false)
    };
    let (mut events, limited) = (events, limited);
    if visit.kind == VisitKind::NeverIn && events.is_empty() && filter.shows_room(visit.room.id.as_str()) {
        // What has become of an invitation to a room that is not here is in no timeline.
        events.extend(scope.ctx.store.event(visit.member.event).await?);
    }
    let is_known = since_root != NodeId::EMPTY;
    let start_root = match events.first() {
        // All that is new is shown, so the state before it is what the device was told last.
        _ if !limited && range.after > 0 && is_known => since_root,
        Some(first) => first.state_before,
        None => end_root,
    };
    let begins_before = match events.first().and_then(|first| first.room_order) {
        Some(first) => Some(first),
        None => newest_order(scope, visit, range)
            .await?
            .map(|newest| newest.saturating_add(1)),
    };
    // What was there when the device was told last has been purged, and with it perhaps some of what came then.
    let limited = limited || (range.after > 0 && since_root == NodeId::EMPTY && end_root != NodeId::EMPTY);
    // To the device the room begins here, whatever came before: as if it had been away.
    let limited = limited || (visit.kind == VisitKind::NewlyJoined && scope.window.since.is_some());
    Ok(Timeline {
        events,
        limited,
        begins_before,
        since_root,
        start_root,
        end_root,
        was_there_after: range.sees_all_after,
    })
}

/// The state of the room at a place in the log; that of a room without events is empty.
async fn root_at(scope: &Scope<'_>, visit: &Visit, at: Sequence) -> Result<NodeId, ServiceError> {
    if at == 0 {
        return Ok(NodeId::EMPTY);
    }
    Ok(scope
        .ctx
        .store
        .room_root_at(visit.room.nid, at)
        .await?
        .unwrap_or_default())
}

fn range(scope: &Scope<'_>, visit: &Visit) -> Range {
    let window = &scope.window;
    let member = visit.member.position;
    match visit.kind {
        VisitKind::Joined => {
            let after = window.after();
            Range {
                after,
                up_to: window.up_to,
                in_until: window.up_to,
                sees_all_after: after,
            }
        }
        VisitKind::NewlyJoined | VisitKind::Invited | VisitKind::Knocked => Range {
            after: 0,
            up_to: window.up_to,
            in_until: window.up_to,
            sees_all_after: member - 1,
        },
        VisitKind::Left {
            was_told,
            last_join,
            in_until,
        } => {
            let after = if was_told { window.after() } else { 0 };
            let sees_all_after = match (in_until == member, was_told) {
                (true, true) => after,
                (true, false) => last_join - 1,
                (false, _) => member,
            };
            Range {
                after,
                up_to: member,
                in_until,
                sees_all_after,
            }
        }
        // His own event, and nothing of what others said.
        VisitKind::NeverIn => Range {
            after: member - 1,
            up_to: member,
            in_until: 0,
            sees_all_after: member,
        },
    }
}

fn view(scope: &Scope<'_>, visit: &Visit, root: NodeId) -> View {
    let last_join = match visit.kind {
        VisitKind::Left { last_join, .. } => Some(last_join),
        VisitKind::Joined | VisitKind::NewlyJoined => Some(visit.member.position),
        VisitKind::Invited | VisitKind::Knocked | VisitKind::NeverIn => None,
    };
    View {
        room: Arc::clone(&visit.room),
        up_to: scope.window.up_to,
        root,
        membership: Some(visit.member.membership),
        last_join,
    }
}

/// The newest events in the range that are shown, in the order of the timeline, and whether there are more.
async fn scan(
    scope: &Scope<'_>,
    visit: &Visit,
    view: &View,
    range: Range,
    limit: usize,
) -> Result<(Vec<Arc<StoredEvent>>, bool), ServiceError> {
    let filter = &scope.filter.room.timeline;
    let mut sights = Sights::new(scope.ctx, scope.requester, view);
    let mut shown: Vec<Arc<StoredEvent>> = Vec::new();
    let mut up_to = range.up_to;
    let (mut scanned, mut unseen) = (0, 0);
    // One more than fits tells whether there is one more.
    let mut page = limit + 1;
    let limited = 'scan: loop {
        let read = scope
            .ctx
            .store
            .events_between(visit.room.nid, range.after, up_to, page)
            .await?;
        let was_last = read.len() < page;
        scanned += read.len();
        scope.effort.spend(read.len()).await;
        for event in read {
            up_to = event.position - 1;
            let follows_gap = event.room_order.is_some_and(begins_after_gap);
            let is_ignored = event.state_key.is_none() && scope.ignored.contains(event.body.sender());
            if !is_ignored && is_wanted(filter, &event) {
                match look(scope, &mut sights, range, view.root, event).await? {
                    Some(_) if shown.len() == limit => break 'scan true,
                    Some(event) => shown.push(event),
                    None => unseen += 1,
                }
            }
            // What was before it has not come: the device pages into it.
            if follows_gap {
                break 'scan true;
            }
        }
        if was_last {
            break false;
        }
        if scanned >= SCANNED_MAX || unseen >= UNSEEN_MAX || !scope.effort.may_read(PAGE) {
            break true;
        }
        page = PAGE.max(limit + 1);
    };
    shown.sort_unstable_by_key(|event| event.room_order);
    Ok((shown, limited))
}

/// Whether the filter shows an event.
pub(super) fn is_wanted(filter: &RoomEventFilter, event: &StoredEvent) -> bool {
    let body = &event.body;
    filter.shows_all()
        || filter.shows(body.kind(), body.sender().as_str(), || {
            plexus_core::event::json::get(body.content(), "url").is_some()
        })
}

/// The event as the user may see it, if he may; what is done to himself he always may. `root` is the last state of the room that he knows.
async fn look(
    scope: &Scope<'_>,
    sights: &mut Sights<'_>,
    range: Range,
    root: NodeId,
    event: Arc<StoredEvent>,
) -> Result<Option<Arc<StoredEvent>>, ServiceError> {
    if event.position > range.sees_all_after || event.body.is_state("m.room.member", scope.requester.user_id.as_str()) {
        let is_told = !is_held_back(scope.ctx, &event).await?;
        return Ok(is_told.then_some(event));
    }
    match sights.look(&event).await? {
        Some(seen) => Ok(Some(seen.event)),
        None if is_state_at(scope, &event, root).await? => Ok(Some(event)),
        None => Ok(None),
    }
}

/// Whether what an event replaced may be told with it: the state of a time that the user was not there for is not told by what came after.
pub(super) async fn may_tell_replaced(
    scope: &Scope<'_>,
    visit: &Visit,
    timeline: &Timeline,
    event: &StoredEvent,
    replaced: EventNid,
) -> Result<bool, ServiceError> {
    if event.position > timeline.was_there_after {
        return Ok(true);
    }
    let view = view(scope, visit, timeline.end_root);
    match scope.ctx.store.event(replaced).await? {
        Some(replaced) => Sights::new(scope.ctx, scope.requester, &view).sees(&replaced).await,
        None => Ok(false),
    }
}

/// Whether an event is part of a state that the user knows: hiding it from the timeline would keep nothing from him, and take away that it happened.
async fn is_state_at(scope: &Scope<'_>, event: &StoredEvent, root: NodeId) -> Result<bool, ServiceError> {
    let Some(key) = event.state_key else { return Ok(false) };
    Ok(scope.ctx.store.state_get(event.room, root, key).await? == Some(event.nid))
}

async fn newest_order(scope: &Scope<'_>, visit: &Visit, range: Range) -> Result<Option<i64>, ServiceError> {
    let newest = scope
        .ctx
        .store
        .events_between(visit.room.nid, 0, range.up_to, 1)
        .await?;
    Ok(newest.first().and_then(|event| event.room_order))
}

impl Timeline {
    /// Whether an event is among those shown.
    pub(super) fn shows(&self, event: EventNid) -> bool {
        self.events.iter().any(|shown| shown.nid == event)
    }

    /// What the user was to the room at an event that is shown, where that is known without asking.
    pub(super) fn membership_at(visit: &Visit, event: &StoredEvent) -> Option<Membership> {
        let joined = match visit.kind {
            VisitKind::Joined => true,
            VisitKind::NewlyJoined => event.position >= visit.member.position,
            VisitKind::Left { last_join, .. } => event.position >= last_join && event.position < visit.member.position,
            VisitKind::Invited | VisitKind::Knocked | VisitKind::NeverIn => false,
        };
        if event.position == visit.member.position {
            return Some(visit.member.membership);
        }
        joined.then_some(Membership::Join)
    }
}
