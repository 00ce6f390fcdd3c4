//! Where this crate's background tasks run, and how they end.

use std::future::Future;

use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Spawns tracked tasks on one runtime, whichever thread asks: frames may arrive on a thread whose own runtime is a small one.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    cancel: CancellationToken,
    handle: Handle,
}

impl Tasks {
    /// Tasks on `handle`'s runtime, ended by `cancel` and awaited through `tracker`.
    pub fn new(tracker: TaskTracker, cancel: CancellationToken, handle: Handle) -> Self {
        Self {
            tracker,
            cancel,
            handle,
        }
    }

    /// Runs `task` until it returns or everything ends.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let cancel = self.cancel.clone();
        let until_cancelled = async move {
            cancel.run_until_cancelled_owned(task).await;
        };
        self.tracker.spawn_on(until_cancelled, &self.handle);
    }

    /// Runs `task` until it returns, also while everything ends: it has something to finish.
    pub(crate) fn spawn_to_end(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn_on(task, &self.handle);
    }

    /// Does something that spawns tasks of its own, on this runtime.
    pub(crate) fn enter<T>(&self, spawns: impl FnOnce() -> T) -> T {
        let _entered = self.handle.enter();
        spawns()
    }
}
