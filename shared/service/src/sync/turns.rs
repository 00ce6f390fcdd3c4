//! Turns at what costs a process much, so that one user who asks for a lot at once waits for himself and not others for him.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use plexus_core::ids::UserNid;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many whole syncs of one user are answered at the same time.
const AT_ONCE: usize = 4;

/// Who has how many turns. Cheap to clone.
#[derive(Clone, Default)]
pub struct Turns(Arc<Mutex<HashMap<UserNid, Arc<Semaphore>>>>);

/// One turn; over when it is dropped.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    user: UserNid,
    permits: Arc<Semaphore>,
    taken: bool,
}

impl Turns {
    /// Waits until the user has fewer than [`AT_ONCE`] turns, and takes one.
    pub(super) async fn take(&self, user: UserNid) -> Turn<'_> {
        let permits = Arc::clone(
            self.lock()
                .entry(user)
                .or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))),
        );
        // Made before the wait, so that whoever gives up waiting leaves nothing behind.
        let mut turn = Turn {
            turns: self,
            user,
            permits,
            taken: false,
        };
        // Closed it never is; the permit is given back by hand, as it cannot live beside what it borrows from.
        turn.taken = turn.permits.acquire().await.map(SemaphorePermit::forget).is_ok();
        turn
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserNid, Arc<Semaphore>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.taken {
            self.permits.add_permits(1);
        }
        let mut turns = self.turns.lock();
        // The map's and this one: nobody else has a turn or waits for one.
        if Arc::strong_count(&self.permits) == 2 {
            turns.remove(&self.user);
        }
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").field("users", &self.lock().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, future::join_all};

    use super::*;

    #[tokio::test]
    async fn a_user_waits_for_himself_only_and_nothing_is_left_behind() {
        let turns = Turns::default();
        let (greedy, other) = (UserNid(1), UserNid(2));
        let mut taken = join_all((0..AT_ONCE).map(|_| turns.take(greedy))).await;
        assert!(turns.take(greedy).now_or_never().is_none(), "he has all he may have");
        drop(turns.take(other).await);
        taken.pop();
        drop(turns.take(greedy).now_or_never().expect("one is over"));
        drop(taken);
        assert!(turns.lock().is_empty());
    }
}
