//! Back-off: a server that does not answer is left alone for a while, longer each time.
//!
//! The database has what all processes know; each remembers it for some seconds, so that a request costs no query.

use std::fmt;

use plexus_storage::{Store, StoreError, destinations::Failing};
use quick_cache::sync::Cache;
use ruma::{OwnedServerName, ServerName};

use crate::Now;

/// How long the first failure keeps others from trying.
const INTERVAL_MIN_MS: i64 = 10 * 60 * 1000;
/// By how much each further failure makes that longer.
const INTERVAL_FACTOR: i64 = 5;
/// The longest.
const INTERVAL_MAX_MS: i64 = 24 * 3600 * 1000;
/// By how many percent it is made shorter or longer by lot, so that not everybody comes back at once.
const JITTER_PERCENT: i64 = 20;
/// How long what the database says is believed.
const MEMORY_MS: i64 = 10_000;
/// Most servers that are remembered.
const REMEMBERED_MAX: usize = 50_000;

/// Which servers do not answer.
pub struct Destinations {
    store: Store,
    now: Now,
    remembered: Cache<OwnedServerName, Remembered>,
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    failing: Option<Failing>,
    at_ms: i64,
}

impl fmt::Debug for Destinations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destinations").finish_non_exhaustive()
    }
}

impl Destinations {
    pub(crate) fn new(store: Store, now: Now) -> Self {
        Self {
            store,
            now,
            remembered: Cache::new(REMEMBERED_MAX),
        }
    }

    /// Whether a server does not answer.
    pub async fn failing(&self, server: &ServerName) -> Result<Option<Failing>, StoreError> {
        let now = (self.now)();
        let remembered = self.remembered.get(server);
        if let Some(remembered) = remembered.filter(|known| (known.at_ms..known.at_ms + MEMORY_MS).contains(&now)) {
            return Ok(remembered.failing);
        }
        let failing = self.store.failing_destination(server).await?;
        self.remember(server, failing);
        Ok(failing)
    }

    /// Until when a server is left alone.
    pub async fn paused_until_ms(&self, server: &ServerName) -> Result<Option<i64>, StoreError> {
        let now = (self.now)();
        let failing = self.failing(server).await?;
        Ok(failing.map(|failing| failing.retry_at_ms).filter(|at| *at > now))
    }

    /// Forgets what is remembered of a server: the database knows better.
    pub fn look_again(&self, server: &ServerName) {
        self.remembered.remove(server);
    }

    /// Notes that a server has answered, or has asked us something.
    pub async fn note_alive(&self, server: &ServerName) -> Result<(), StoreError> {
        if self.failing(server).await?.is_some() {
            self.store.forget_failing_destination(server).await?;
            self.remember(server, None);
        }
        Ok(())
    }

    /// Notes that a server has not answered although it was its time to be asked.
    pub async fn note_failed(&self, server: &ServerName) -> Result<(), StoreError> {
        let now = (self.now)();
        let before = self.failing(server).await?;
        if before.is_some_and(|before| before.retry_at_ms > now) {
            // Another request was faster to find out.
            return Ok(());
        }
        let failing = next(before, now, rand::random_range(-JITTER_PERCENT..=JITTER_PERCENT));
        self.store.note_failing_destination(server, &failing, now).await?;
        self.remember(server, Some(failing));
        Ok(())
    }

    fn remember(&self, server: &ServerName, failing: Option<Failing>) {
        let at_ms = (self.now)();
        self.remembered.insert(server.to_owned(), Remembered { failing, at_ms });
    }
}

/// What a failure makes of what was known.
fn next(before: Option<Failing>, now_ms: i64, jitter_percent: i64) -> Failing {
    let interval_ms = before.map_or(INTERVAL_MIN_MS, |before| {
        before
            .interval_ms
            .saturating_mul(INTERVAL_FACTOR)
            .clamp(INTERVAL_MIN_MS, INTERVAL_MAX_MS)
    });
    let wait_ms = (interval_ms + interval_ms / 100 * jitter_percent).min(INTERVAL_MAX_MS);
    Failing {
        since_ms: before.map_or(now_ms, |before| before.since_ms),
        retry_at_ms: now_ms.saturating_add(wait_ms),
        interval_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_5335_each_failure_waits_five_times_longer_up_to_a_day() {
        let mut failing = None;
        let mut minutes = Vec::new();
        let mut now = 1_000;
        for _ in 0..5 {
            let failed = next(failing, now, 0);
            minutes.push((failed.retry_at_ms - now) / 60_000);
            assert_eq!(failed.since_ms, 1_000);
            now = failed.retry_at_ms;
            failing = Some(failed);
        }
        assert_eq!(minutes, [10, 50, 250, 1250, 1440]);
        assert_eq!(next(None, 0, -20).retry_at_ms, 8 * 60_000);
        assert_eq!(next(None, 0, 20).retry_at_ms, 12 * 60_000);
        assert_eq!(
            next(failing, now, 20).retry_at_ms - now,
            INTERVAL_MAX_MS,
            "the cap holds with the lot as well"
        );
    }
}
