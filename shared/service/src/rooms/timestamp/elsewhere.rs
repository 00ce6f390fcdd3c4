//! The event closest to a time where history is missing here: other servers know which it is, and what leads up to it is fetched.

use plexus_storage::{
    events::{Direction, StoredEvent},
    rooms::RoomInfo,
};

use super::first_after;
use crate::{
    Ctx, ServiceError,
    federation::history::holes::{Between, fill, holes, sources_of},
};

/// Servers that are asked.
const SERVERS_MAX: usize = 3;

/// Looks for an event in history that is missing here between a time and the closest event that is known. Whether there may be a closer one here now.
///
/// What is fetched is all from the hole's end down to the event, so that somebody who goes there finds what was said around it. If that is too much for one
/// request, the closest event that is here then is the answer, and the next request goes on.
pub(super) async fn look(
    ctx: &Ctx,
    room: &RoomInfo,
    newest: i64,
    (ts_ms, direction): (u64, Direction),
    found: Option<&StoredEvent>,
) -> Result<bool, ServiceError> {
    let between = around(ctx, room, newest, (ts_ms, direction), found).await?;
    let Some(hole) = holes(ctx, room.nid, between).await?.first().copied() else {
        return Ok(false);
    };
    let sources = sources_of(ctx, room, hole).await?;
    for server in sources.each().into_iter().take(SERVERS_MAX) {
        let is_after = direction == Direction::Forward;
        let asked = ctx.federation.fetch_closest_event(&server, &room.id, ts_ms, is_after);
        match asked.await {
            Ok(closest) if is_closer(closest.origin_server_ts, (ts_ms, direction), found) => {
                fill(ctx, room, between, Some(&closest.event_id)).await?;
                return Ok(true);
            }
            Ok(_) => {}
            Err(error) => sources.note(&server, error)?,
        }
    }
    Ok(false)
}

/// Whether an event of a time is the answer rather than what is known.
fn is_closer(ts: u64, (ts_ms, direction): (u64, Direction), found: Option<&StoredEvent>) -> bool {
    let found = found.map(|found| found.body.origin_server_ts());
    match direction {
        Direction::Forward => ts >= ts_ms && found.is_none_or(|found| ts < found),
        Direction::Backward => ts <= ts_ms && found.is_none_or(|found| ts > found),
    }
}

/// The part of the timeline in which a closer event would be: between what is before the time and what is after it.
async fn around(
    ctx: &Ctx,
    room: &RoomInfo,
    newest: i64,
    (ts_ms, direction): (u64, Direction),
    found: Option<&StoredEvent>,
) -> Result<Between, ServiceError> {
    let place = first_after(ctx, room.nid, newest, ts_ms).await?;
    let found = found.and_then(|event| event.room_order);
    Ok(match direction {
        Direction::Forward => (place.min(found.unwrap_or(place)), found.unwrap_or(newest)),
        Direction::Backward => {
            let next = ctx.store.page(room.nid, place, Direction::Forward, 1).await?;
            let next = next.first().and_then(|event| event.room_order).unwrap_or(place);
            (found.unwrap_or(i64::MIN), next.min(newest))
        }
    })
}
