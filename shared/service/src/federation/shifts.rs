//! Rooms that processes share out among themselves: each takes some on for a while, and for longer while it works on them.

use std::time::Duration;

use plexus_core::ids::RoomNid;
use tokio::{sync::Notify, task::JoinSet, time::timeout};

/// For how long a room is taken on at a time.
pub(super) const HELD_MS: i64 = 12_000;
/// How often that is renewed while there is work.
const RENEW_EVERY: Duration = Duration::from_secs(4);

/// A room that was taken on, and until when.
pub(super) type Shift = (RoomNid, i64);

/// Starts work on rooms. Each has a task of its own: others wait for what it is reading, so it must not stand still while the next ones are looked for.
pub(super) fn begin<W: Future<Output = ()> + Send + 'static>(
    under_way: &mut JoinSet<()>,
    taken: Vec<Shift>,
    look_after: impl Fn(Shift) -> W,
) {
    for shift in taken {
        under_way.spawn(look_after(shift));
    }
}

/// Does some work, and says until when its room is held then. `renew` is told until when it is held, and holds it for longer.
pub(super) async fn while_held<T, R: Future<Output = i64>>(
    until_ms: i64,
    renew: impl Fn(i64) -> R,
    work: impl Future<Output = T>,
) -> (T, i64) {
    renewing(RENEW_EVERY, until_ms, renew, work).await
}

/// The work goes on while the room is renewed.
async fn renewing<T, R: Future<Output = i64>>(
    every: Duration,
    mut until_ms: i64,
    renew: impl Fn(i64) -> R,
    work: impl Future<Output = T>,
) -> (T, i64) {
    let done = Notify::new();
    let work = async {
        let outcome = work.await;
        done.notify_one();
        outcome
    };
    let hold = async {
        while timeout(every, done.notified()).await.is_err() {
            until_ms = renew(until_ms).await;
        }
        until_ms
    };
    futures_util::join!(work, hold)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, sync::Arc};

    use super::*;

    #[test]
    fn a_room_can_be_renewed_late() {
        assert!(i64::try_from(2 * RENEW_EVERY.as_millis()).is_ok_and(|renewed| renewed < HELD_MS));
    }

    #[tokio::test]
    async fn work_goes_on_while_nobody_waits_for_it() {
        let (done, mut under_way) = (Arc::new(Notify::new()), JoinSet::new());
        begin(&mut under_way, vec![(RoomNid(1), 7)], |_| {
            let done = Arc::clone(&done);
            async move {
                tokio::task::yield_now().await;
                done.notify_one();
            }
        });
        let in_time = timeout(Duration::from_secs(10), done.notified()).await;
        assert!(in_time.is_ok() && under_way.len() == 1);
    }

    #[tokio::test]
    async fn work_goes_on_while_its_room_is_renewed() {
        let (renewing_now, done) = (Notify::new(), Cell::new(false));
        let renew = async |until_ms| {
            renewing_now.notify_one();
            while !done.get() {
                tokio::task::yield_now().await;
            }
            until_ms + 1
        };
        let work = async {
            renewing_now.notified().await;
            done.set(true);
            "done"
        };
        assert_eq!(renewing(Duration::from_millis(1), 7, renew, work).await, ("done", 8));
    }
}
