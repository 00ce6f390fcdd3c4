//! How far the processes of a server are. What one of them has answered for reaches the others a moment later: clients learn of it by their next sync, and a
//! scenario that is not about that moment waits until it is over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::{sync::Mutex, time::timeout};

use crate::http::Http;

/// How long one process may take to say how far it is; one that is stopped says nothing.
const ANSWER_MAX: Duration = Duration::from_millis(500);
/// How long is waited for a process that does not come any further, as when it is cut off.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often they are asked.
const LOOK_EVERY: Duration = Duration::from_millis(3);

/// The processes of one server.
#[derive(Clone, Debug)]
pub(crate) struct Replicas(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Their internal listeners.
    processes: Vec<Http>,
    /// How much has been written by the scenarios.
    written: AtomicU64,
    /// How much of that is known to be everywhere.
    settled: Mutex<u64>,
}

impl Replicas {
    pub(crate) fn new(processes: Vec<Http>) -> Self {
        Self(Arc::new(Inner {
            processes,
            written: AtomicU64::new(0),
            settled: Mutex::new(0),
        }))
    }

    /// Something was written.
    pub(crate) fn wrote(&self) {
        self.0.written.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until all that was written is everywhere.
    pub(crate) async fn settle_written(&self) {
        let mut settled = self.0.settled.lock().await;
        let written = self.0.written.load(Ordering::SeqCst);
        if *settled < written {
            self.settle().await;
            *settled = written;
        }
    }

    /// Waits until every process is as far as the furthest one is now. Those that say nothing are left out.
    pub(crate) async fn settle(&self) {
        let begun = Instant::now();
        let Some(furthest) = self.positions().await.into_iter().max() else {
            return;
        };
        while begun.elapsed() < PATIENCE {
            if self.positions().await.iter().all(|position| *position >= furthest) {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn positions(&self) -> Vec<u64> {
        let asked = self.0.processes.iter().map(|process| async move {
            let answer = timeout(ANSWER_MAX, process.try_send(http::Method::GET, "/ready", "")).await;
            let body: serde_json::Value = serde_json::from_slice(&answer.ok()?.ok()?.body).ok()?;
            // The master's chain is the only one that is stored.
            let (_, position) = body["position"].as_str()?.split_once('~')?;
            position.parse().ok()
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}
