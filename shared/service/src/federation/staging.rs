//! Events that wait for those they refer to: found again after any restart, and looked after room by room.
//!
//! Every process that takes transactions does this. A process takes a room on for a while, so that no other works on it; one that died lets go of it by the
//! time running out. What cannot be fetched is tried again, later each time, and in the end given up: whoever refers to it then has it fetched anew.

use std::time::Duration;

use metrics::counter;
use plexus_core::ids::RoomNid;
use plexus_storage::rooms::RoomInfo;
use ruma::{EventId, OwnedEventId};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    gaps, is_resident,
    shifts::{self, HELD_MS, Shift, while_held},
};
use crate::{Ctx, ServiceError};

/// Events that were given up, as what they refer to cannot be fetched.
pub const GIVEN_UP_TOTAL: &str = "plexus_federation_given_up_total";
/// How often a process looks for rooms that nobody told it of.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Rooms that one process works on at once.
const ROOMS_AT_ONCE_MAX: usize = 16;
/// How long one go at a room may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(100);
/// Events of a room that one go is about.
const EVENTS_PER_ATTEMPT_MAX: i64 = 100;
/// How long after the first go in vain the next one is.
const RETRY_MIN_MS: i64 = 2_000;
/// By how much longer each further one makes it.
const RETRY_FACTOR: i64 = 4;
/// The longest.
const RETRY_MAX_MS: i64 = 600_000;
/// Goes in vain after which an event is given up: about an hour after it came.
const ATTEMPTS_MAX: i64 = 9;

/// Looks after events that wait, until the process ends.
pub async fn run(ctx: Ctx) {
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = under_way.join_next() => {}
            () = ctx.inbound.staged.notified() => {}
            () = sleep(LOOK_EVERY) => {}
        }
        match take_due(&ctx, ROOMS_AT_ONCE_MAX - under_way.len()).await {
            Ok(taken) => shifts::begin(&mut under_way, taken, |shift| look_after(ctx.clone(), shift)),
            Err(error) => tracing::warn!(%error, "events that wait for others cannot be found"),
        }
    }
}

/// Takes rooms on, at most `limit`, each until a time.
async fn take_due(ctx: &Ctx, limit: usize) -> Result<Vec<Shift>, ServiceError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let now_ms = ctx.clock.now_ms();
    let until_ms = now_ms + HELD_MS;
    let mut taken = Vec::new();
    for room in ctx
        .store
        .staged_rooms_due(now_ms, i64::try_from(limit).unwrap_or(i64::MAX))
        .await?
    {
        if ctx.store.take_staged_room(room, now_ms, until_ms).await? {
            taken.push((room, until_ms));
        }
    }
    Ok(taken)
}

async fn look_after(ctx: Ctx, (room, until_ms): Shift) {
    let work = Box::pin(attempt(&ctx, room));
    let (outcome, until_ms) = while_held(until_ms, |until_ms| renew(&ctx, room, until_ms), work).await;
    match outcome {
        Ok(()) => {
            if let Err(error) = ctx.store.give_back_staged_room(room, until_ms).await {
                tracing::warn!(room.nid = room.0, %error, "a room cannot be given back before its time");
            }
            // Others may have come meanwhile.
            ctx.inbound.staged.notify_one();
        }
        // It is tried again once the time is over for which the room was taken.
        Err(error) => tracing::warn!(room.nid = room.0, %error, "events that wait for others cannot be looked after"),
    }
}

/// Keeps a room for longer. If another process has it meanwhile, both work on it, which does no harm.
async fn renew(ctx: &Ctx, room: RoomNid, held_until_ms: i64) -> i64 {
    let until_ms = ctx.clock.now_ms() + HELD_MS;
    match ctx.store.take_staged_room(room, held_until_ms, until_ms).await {
        Ok(true) => until_ms,
        Ok(false) => held_until_ms,
        Err(error) => {
            tracing::warn!(room.nid = room.0, %error, "a room cannot be kept");
            held_until_ms
        }
    }
}

/// One go at a room.
async fn attempt(ctx: &Ctx, room: RoomNid) -> Result<(), ServiceError> {
    let Some(info) = ctx.store.room_by_nid(room).await? else {
        return Ok(ctx.store.unstage_all(room).await?);
    };
    if !is_resident(ctx, room).await? {
        // Nobody of ours is there any more to whom it would matter.
        return Ok(ctx.store.unstage_all(room).await?);
    }
    let waiting = ctx.store.staged_events(&info, EVENTS_PER_ATTEMPT_MAX).await?;
    let now_ms = ctx.clock.now_ms();
    let due: Vec<(OwnedEventId, i64)> = waiting
        .iter()
        .filter(|staged| staged.retry_at_ms <= now_ms)
        .map(|staged| (staged.event.event_id().to_owned(), staged.attempts))
        .collect();
    // What has been settled before the time is over stays settled.
    if let Ok(outcome) = timeout(ATTEMPT_MAX, gaps::fill(ctx, &info, waiting, now_ms)).await {
        outcome?;
    }
    for (event_id, attempts) in due {
        put_off(ctx, &info, &event_id, attempts).await?;
    }
    Ok(())
}

/// Lets an event that still waits wait for longer, or gives it up. Of one that is settled nothing is left to do so with.
async fn put_off(ctx: &Ctx, room: &RoomInfo, event_id: &EventId, attempts: i64) -> Result<(), ServiceError> {
    if attempts + 1 < ATTEMPTS_MAX {
        let retry_at_ms = ctx.clock.now_ms() + pause_ms(attempts);
        return Ok(ctx.store.postpone_staged_event(room.nid, event_id, retry_at_ms).await?);
    }
    if ctx.store.unstage_event(room.nid, event_id).await? {
        tracing::info!(room.id = %room.id, event.id = %event_id, "an event is given up: what it refers to is nowhere");
        counter!(GIVEN_UP_TOTAL).increment(1);
    }
    Ok(())
}

/// How long an event waits that was tried in vain for the `attempts + 1`th time.
fn pause_ms(attempts: i64) -> i64 {
    let mut pause = RETRY_MIN_MS;
    for _ in 0..attempts {
        pause = (pause * RETRY_FACTOR).min(RETRY_MAX_MS);
    }
    pause
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_go_in_vain_waits_longer_up_to_ten_minutes() {
        let pauses: Vec<i64> = (0..ATTEMPTS_MAX - 1)
            .map(|attempts| pause_ms(attempts) / 1_000)
            .collect();
        assert_eq!(pauses, [2, 8, 32, 128, 512, 600, 600, 600]);
    }
}
