//! The event closest to a time.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event>
//!
//! Events have no index by time: each would cost every message a write, for a question that is seldom asked. In a timeline the times rise, but for clocks
//! that go wrong, so the place is found by halving, and then the events around it are looked at.

mod elsewhere;

use std::sync::Arc;

use plexus_core::ids::RoomNid;
use plexus_storage::events::{Direction, StoredEvent};
use ruma::{OwnedEventId, RoomId, ServerName};
use serde_json::json;

use super::{
    access::{Sights, view_room},
    page::newest_order,
};
use crate::{
    Ctx, Requester, ServiceError,
    federation::{resident::require_resident, visible::ServerSights},
};

/// Events that are looked at on the other side of the place found, for times that are not in order.
const DISORDER_MAX: usize = 50;

/// Events of one read on the side that is asked for.
const READ_MAX: usize = 100;

/// Most reads on the side that is asked for.
const READS_MAX: usize = 10;

/// The visible event closest to a time, at or after it (forward) or at or before it (backward), as JSON.
pub async fn find_event_by_time(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    ts_ms: u64,
    direction: Direction,
) -> Result<Vec<u8>, ServiceError> {
    let view = view_room(ctx, requester, room_id).await?;
    let newest = newest_order(ctx, &view, view.up_to).await?;
    let find = async || {
        let mut eyes = Eyes::User(Sights::new(ctx, requester, &view));
        closest(ctx, view.room.nid, newest, (ts_ms, direction), &mut eyes).await
    };
    let mut found = find().await?;
    if elsewhere::look(ctx, &view.room, newest, (ts_ms, direction), found.as_deref()).await? {
        found = find().await?;
    }
    answer(found.map(|event| (event.body.event_id().to_owned(), event.body.origin_server_ts())))
}

/// The same for another server that is in the room.
pub async fn find_event_by_time_for_server(
    ctx: &Ctx,
    origin: &ServerName,
    room_id: &RoomId,
    ts_ms: u64,
    direction: Direction,
) -> Result<Vec<u8>, ServiceError> {
    let room = require_resident(ctx, origin, room_id).await?;
    let newest = ctx.store.page(room.nid, i64::MAX, Direction::Backward, 1).await?;
    let newest = newest.first().and_then(|event| event.room_order).unwrap_or_default();
    let sights = ServerSights::new(ctx, &room, origin);
    let found = closest(ctx, room.nid, newest, (ts_ms, direction), &mut Eyes::Server(sights)).await?;
    answer(found.map(|event| (event.body.event_id().to_owned(), event.body.origin_server_ts())))
}

fn answer(found: Option<(OwnedEventId, u64)>) -> Result<Vec<u8>, ServiceError> {
    let none = || ServiceError::not_found("there is no such event, or you may not see it");
    let (event_id, ts) = found.ok_or_else(none)?;
    Ok(json!({"event_id": event_id, "origin_server_ts": ts})
        .to_string()
        .into_bytes())
}

/// Who looks for an event.
enum Eyes<'a> {
    User(Sights<'a>),
    Server(ServerSights<'a>),
}

impl Eyes<'_> {
    async fn see(&mut self, event: &StoredEvent) -> Result<bool, ServiceError> {
        match self {
            Self::User(sights) => sights.sees(event).await,
            Self::Server(sights) => sights.sees(event).await,
        }
    }
}

/// The event closest to a time that somebody sees, up to the `newest` place.
async fn closest(
    ctx: &Ctx,
    room: RoomNid,
    newest: i64,
    (ts_ms, direction): (u64, Direction),
    eyes: &mut Eyes<'_>,
) -> Result<Option<Arc<StoredEvent>>, ServiceError> {
    let place = first_after(ctx, room, newest, ts_ms).await?;
    let mut reads = match direction {
        // From a little before the place onwards.
        Direction::Forward => {
            let before = ctx.store.page(room, place, Direction::Backward, DISORDER_MAX).await?;
            let first = before.last().and_then(|event| event.room_order);
            first.map_or(place, |order| order - 1)
        }
        Direction::Backward => {
            let after = ctx.store.page(room, place, Direction::Forward, DISORDER_MAX).await?;
            let last = after.last().and_then(|event| event.room_order);
            last.unwrap_or(place).min(newest)
        }
    };
    for _ in 0..READS_MAX {
        let read = ctx.store.page(room, reads, direction, READ_MAX).await?;
        let mut best: Option<&Arc<StoredEvent>> = None;
        for event in &read {
            let order = event.room_order.unwrap_or_default();
            reads = match direction {
                Direction::Backward => order - 1,
                Direction::Forward => order,
            };
            let is_closer = |best: &Arc<StoredEvent>| is_closer(event, best, direction);
            if order <= newest
                && is_on_side(event, ts_ms, direction)
                && best.is_none_or(is_closer)
                && eyes.see(event).await?
            {
                best = Some(event);
            }
        }
        if best.is_some() {
            return Ok(best.cloned());
        }
        if read.len() < READ_MAX {
            break;
        }
    }
    Ok(None)
}

fn is_on_side(event: &StoredEvent, ts_ms: u64, direction: Direction) -> bool {
    match direction {
        Direction::Forward => event.body.origin_server_ts() >= ts_ms,
        Direction::Backward => event.body.origin_server_ts() <= ts_ms,
    }
}

/// Whether an event on the right side is closer than the best so far.
fn is_closer(event: &StoredEvent, best: &StoredEvent, direction: Direction) -> bool {
    let (ts, best) = (event.body.origin_server_ts(), best.body.origin_server_ts());
    match direction {
        Direction::Forward => ts < best,
        Direction::Backward => ts > best,
    }
}

/// The `room_order` after which events are later than or at a time, if times rise.
pub(super) async fn first_after(ctx: &Ctx, room: RoomNid, newest: i64, ts_ms: u64) -> Result<i64, ServiceError> {
    let first = ctx.store.page(room, i64::MIN, Direction::Forward, 1).await?;
    let Some(first) = first.first().and_then(|event| event.room_order) else {
        return Ok(newest);
    };
    // Events up to `low` are earlier, and those after `high` are not. The distance halves each time.
    let (mut low, mut high) = (first.saturating_sub(1), newest.max(first));
    while low < high {
        let middle = low + (high - low) / 2;
        let next = ctx.store.page(room, middle, Direction::Forward, 1).await?;
        match next.first().and_then(|event| Some((event, event.room_order?))) {
            Some((event, order)) if order <= high && event.body.origin_server_ts() < ts_ms => low = order,
            _ => high = middle,
        }
    }
    Ok(low)
}
