//! How many uploads a process takes at once, in all and from one user.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::MediaError;

/// Most uploads that are read at once; the others wait, unread.
const RUNNING_MAX: usize = 64;
/// Most uploads that wait for their turn.
const WAITING_MAX: usize = 256;
/// Most uploads of one user, so that one with a slow line cannot take every turn.
const OF_ONE_USER_MAX: usize = 8;

/// The turns of uploads. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Turns {
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
    /// Bounded by `admitted`.
    of_users: Arc<Mutex<HashMap<i64, usize>>>,
}

/// One upload's turn, given back when it is dropped.
#[derive(Debug)]
pub struct Turn {
    user: i64,
    of_users: Arc<Mutex<HashMap<i64, usize>>>,
    running: Option<OwnedSemaphorePermit>,
    _admitted: OwnedSemaphorePermit,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            admitted: Arc::new(Semaphore::new(RUNNING_MAX + WAITING_MAX)),
            running: Arc::new(Semaphore::new(RUNNING_MAX)),
            of_users: Arc::default(),
        }
    }
}

impl Turns {
    /// Waits for a turn of `user`; refused if too many wait already, or too many are his.
    pub async fn take(&self, user: i64) -> Result<Turn, MediaError> {
        let admitted = Arc::clone(&self.admitted);
        let admitted = admitted.try_acquire_owned().map_err(|_| MediaError::Busy)?;
        {
            let mut of_users = self.of_users.lock().unwrap_or_else(PoisonError::into_inner);
            let his = of_users.entry(user).or_default();
            if *his >= OF_ONE_USER_MAX {
                return Err(MediaError::Busy);
            }
            *his += 1;
        }
        let mut turn = Turn {
            user,
            of_users: Arc::clone(&self.of_users),
            running: None,
            _admitted: admitted,
        };
        let running = Arc::clone(&self.running).acquire_owned().await;
        turn.running = Some(running.map_err(|_| MediaError::Busy)?);
        Ok(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut of_users = self.of_users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(his) = of_users.get_mut(&self.user) {
            *his -= 1;
            if *his == 0 {
                of_users.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hostile_13_one_user_cannot_take_every_turn() {
        let turns = Turns::default();
        let mut his = Vec::new();
        for _ in 0..OF_ONE_USER_MAX {
            his.push(turns.take(1).await.expect("a turn"));
        }
        assert!(matches!(turns.take(1).await, Err(MediaError::Busy)));
        let other = turns.take(2).await.expect("others have theirs");
        his.pop();
        turns.take(1).await.expect("a turn was given back");
        drop((his, other));
        assert!(turns.of_users.lock().expect("nobody panicked").is_empty());
    }

    #[tokio::test]
    async fn hostile_13_ten_thousand_uploads_at_once_are_bounded() {
        let turns = Turns::default();
        let takes = (0..10_000).map(|user| turns.take(user));
        let mut takes: Vec<_> = takes.map(Box::pin).collect();
        let mut refused = 0;
        let mut held = Vec::new();
        for take in &mut takes {
            match futures_util::poll!(take) {
                std::task::Poll::Ready(Ok(turn)) => held.push(turn),
                std::task::Poll::Ready(Err(_)) => refused += 1,
                std::task::Poll::Pending => {}
            }
        }
        assert_eq!(held.len(), RUNNING_MAX);
        assert_eq!(refused, 10_000 - RUNNING_MAX - WAITING_MAX);
    }
}
