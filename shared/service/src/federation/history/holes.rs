//! Holes in the middle of a room's history: for somebody who comes to one from before it, or looks for something in it.
//!
//! What is missing is fetched from a hole's end downwards, since only what comes after an event tells of it. Who reads forward waits before the hole as long
//! as more of it comes, and goes on over it once nobody gives any more.

use plexus_core::ids::RoomNid;
use plexus_storage::{
    events::Direction,
    room_gaps::{REGION_PLACES, RoomGap},
    rooms::RoomInfo,
};
use ruma::EventId;
use tokio::time::timeout;

use super::{WAIT_MAX, is_paused, sources, try_piece};
use crate::{Ctx, ServiceError, federation::gaps::Sources};

/// Pieces of a hole that are fetched for one request.
const PIECES_MAX: usize = 10;

/// A part of a timeline: what is after the first place, up to the second and with it.
pub(crate) type Between = (i64, i64);

/// Makes sure that what somebody reads forward, `wanted` events after a place, has no hole that can be filled. Where he has to stop, if a hole is not filled
/// yet: he may come again.
pub(crate) async fn ensure_history_after(
    ctx: &Ctx,
    room: &RoomInfo,
    newest: i64,
    (from, wanted): (i64, usize),
) -> Result<Option<i64>, ServiceError> {
    if newest < REGION_PLACES || ctx.store.room_gaps(room.nid).await?.is_empty() {
        return Ok(None);
    }
    let page = ctx.store.page(room.nid, from, Direction::Forward, wanted).await?;
    let Some(last) = page.last().and_then(|event| event.room_order) else {
        return Ok(None);
    };
    let Some(hole) = holes(ctx, room.nid, (from, last.min(newest))).await?.pop() else {
        return Ok(None);
    };
    let before = ctx
        .store
        .page(room.nid, hole.room_order - 1, Direction::Backward, 1)
        .await?;
    // Before all that is here there is no hole, but a beginning that is not known: who starts there does not wait for it.
    let Some(before) = before.first().and_then(|event| event.room_order) else {
        return Ok(None);
    };
    let between = (before, hole.room_order);
    fill(ctx, room, between, None).await?;
    let rest = holes(ctx, room.nid, between).await?;
    let has_more_come = !rest.is_empty() && !rest.contains(&hole);
    Ok(has_more_come.then_some(before.max(from)))
}

/// Where history is missing in a part of a timeline that is not known to be given by nobody, newest first.
pub(crate) async fn holes(ctx: &Ctx, room: RoomNid, (after, to): Between) -> Result<Vec<RoomGap>, ServiceError> {
    let mut gaps = ctx.store.room_gaps(room).await?;
    gaps.retain(|gap| gap.room_order > after && gap.room_order <= to && !is_paused(ctx, *gap));
    Ok(gaps)
}

/// Fetches what is missing in a part of a timeline, from its end on: until nothing is, or an event is here that is looked for.
pub(crate) async fn fill(
    ctx: &Ctx,
    room: &RoomInfo,
    between: Between,
    wanted: Option<&EventId>,
) -> Result<(), ServiceError> {
    // Whoever comes while it is fetched waits for that, and looks again.
    let Some(place) = ctx.inbound.readers.enter(&room.nid) else {
        return Ok(());
    };
    let filled = timeout(WAIT_MAX, async {
        let _turn = place.turn.lock().await;
        for _ in 0..PIECES_MAX {
            if let Some(wanted) = wanted
                && has_place(ctx, room.nid, wanted).await?
            {
                break;
            }
            let Some(gap) = holes(ctx, room.nid, between).await?.first().copied() else {
                break;
            };
            try_piece(ctx, room, gap).await?;
        }
        Ok(())
    });
    filled.await.unwrap_or(Ok(()))
}

/// Whether an event is in the timeline.
async fn has_place(ctx: &Ctx, room: RoomNid, event_id: &EventId) -> Result<bool, ServiceError> {
    let event = ctx.store.known_event(room, event_id).await?;
    Ok(event.is_some_and(|event| event.room_order.is_some()))
}

/// Those who may have what is missing.
pub(crate) async fn sources_of(ctx: &Ctx, room: &RoomInfo, hole: RoomGap) -> Result<Sources, ServiceError> {
    match ctx.store.event(hole.event).await? {
        Some(event) => sources(ctx, room, &event).await,
        None => Sources::among(ctx, room, std::iter::empty()).await,
    }
}
