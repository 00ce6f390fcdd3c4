//! One piece of work for all who want the same at once.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::BoxFuture;
use tokio::sync::{oneshot, watch};

/// Starts a task on the process's one runtime for the network. Threads that answer requests have small runtimes of their own, which must not drive
/// connections that others use.
pub type Spawn = Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// Runs some work by `spawn`, and ends it when nobody waits for it any more. Nothing if the process stops.
pub(crate) async fn run_elsewhere<T: Send + 'static>(
    spawn: &Spawn,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (mut give, take) = oneshot::channel();
    spawn(Box::pin(async move {
        tokio::select! {
            result = work => {
                let _gone = give.send(result);
            }
            () = give.closed() => {}
        }
    }));
    take.await.ok()
}

/// Work under way, by what it is about. As many as there are askers, each of whom is bounded elsewhere.
pub struct Flights<K, V> {
    under_way: Mutex<HashMap<K, watch::Receiver<Option<V>>>>,
    spawn: Spawn,
}

impl<K, V> fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Nothing is under way.
    pub fn new(spawn: Spawn) -> Arc<Self> {
        Arc::new(Self {
            under_way: Mutex::new(HashMap::new()),
            spawn,
        })
    }

    /// The outcome of the work about `key`: of what is under way, or else of `work`, which goes on when the one who asked gives up. Nothing if the
    /// process stops.
    pub async fn join<F>(self: &Arc<Self>, key: K, work: impl FnOnce() -> F) -> Option<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut outcome = self.board(key, work);
        let landed = outcome.wait_for(Option::is_some).await.ok()?;
        landed.clone()
    }

    fn board<F>(self: &Arc<Self>, key: K, work: impl FnOnce() -> F) -> watch::Receiver<Option<V>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut under_way = self.lock();
        if let Some(outcome) = under_way.get(&key)
            // Work that panicked is begun anew.
            && outcome.has_changed().is_ok()
        {
            return outcome.clone();
        }
        let (land, outcome) = watch::channel(None);
        under_way.insert(key.clone(), outcome.clone());
        drop(under_way);
        let (flights, work) = (Arc::clone(self), work());
        (self.spawn)(Box::pin(async move {
            let value = work.await;
            flights.lock().remove(&key);
            land.send_replace(Some(value));
        }));
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, watch::Receiver<Option<V>>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use tokio::{runtime::Handle, sync::Notify};

    use super::*;

    /// Starts tasks on the runtime of the test.
    pub(crate) fn spawn_here() -> Spawn {
        let handle = Handle::current();
        Arc::new(move |task| {
            handle.spawn(task);
        })
    }

    #[tokio::test]
    async fn those_who_ask_at_once_share_one_piece_of_work() {
        let flights = Flights::new(spawn_here());
        let (started, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let ask = || {
            let (started, go) = (Arc::clone(&started), Arc::clone(&go));
            flights.join("key", move || async move {
                started.fetch_add(1, SeqCst);
                go.notified().await;
                7
            })
        };
        let mut asked = Box::pin(futures_util::future::join(ask(), ask()));
        assert!(futures_util::poll!(&mut asked).is_pending());
        go.notify_one();
        assert_eq!(asked.await, (Some(7), Some(7)));
        assert_eq!(started.load(SeqCst), 1);
        go.notify_one();
        assert_eq!(ask().await, Some(7));
        assert_eq!(started.load(SeqCst), 2, "what has landed is not kept");
    }

    #[tokio::test]
    async fn work_that_panics_does_not_block_the_next() {
        let flights: Arc<Flights<&str, i32>> = Flights::new(spawn_here());
        assert_eq!(flights.join("key", || async { panic!("for the test") }).await, None);
        assert_eq!(flights.join("key", || async { 1 }).await, Some(1));
    }

    #[tokio::test]
    async fn nobody_waiting_ends_the_work() {
        struct TellEnd(Arc<Notify>);
        impl Drop for TellEnd {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }
        let (gone, spawn) = (Arc::new(Notify::new()), spawn_here());
        let end = TellEnd(Arc::clone(&gone));
        let mut running = Box::pin(run_elsewhere(&spawn, async move {
            let _end = end;
            std::future::pending::<()>().await;
        }));
        assert!(futures_util::poll!(&mut running).is_pending());
        drop(running);
        gone.notified().await;
    }
}
