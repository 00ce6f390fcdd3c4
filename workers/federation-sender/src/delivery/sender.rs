//! What all parts of the delivery share.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use plexus_core::ids::UserNid;
use plexus_service::{Ctx, ServiceError};
use ruma::{OwnedServerName, ServerName};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::{
    board::{Board, Item, Passing},
    worker,
};
use crate::SenderParts;

/// Transactions under way at once to servers that have answered this process before.
const KNOWN_AT_ONCE: usize = 256;
/// The same to others: most of those that do not answer are among them, and each keeps its place until it has not answered for long enough.
const UNKNOWN_AT_ONCE: usize = 128;
/// Most servers of which it is remembered that they answer.
const ANSWERING_MAX: usize = 50_000;
/// How long to wait when the database or the log cannot be read.
pub(super) const FAULT_WAIT: Duration = Duration::from_secs(1);

/// The delivery of one process.
pub(super) struct Sender {
    parts: Arc<SenderParts>,
    // Held for a few instructions and never while anything is awaited, hence the standard library's.
    board: Mutex<Board>,
    answering: Mutex<HashSet<OwnedServerName>>,
    known: Semaphore,
    unknown: Semaphore,
    /// Tells what this process says of the moment from what others do, and did before.
    nonce: u64,
    moments: AtomicU64,
    /// There may be more to read.
    more: Notify,
}

impl Sender {
    pub(super) fn new(parts: Arc<SenderParts>) -> Self {
        Self {
            parts,
            board: Mutex::default(),
            answering: Mutex::default(),
            known: Semaphore::new(KNOWN_AT_ONCE),
            unknown: Semaphore::new(UNKNOWN_AT_ONCE),
            nonce: rand::random(),
            moments: AtomicU64::new(0),
            more: Notify::new(),
        }
    }

    pub(super) fn ctx(&self) -> &Ctx {
        &self.parts.ctx
    }

    pub(super) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a bucket is this process's to deliver, now.
    pub(super) fn owns(&self, bucket: u16) -> bool {
        (self.parts.share)(&format!("destinations {bucket}"))
    }

    /// Whether a server is this one.
    pub(super) fn is_us(&self, server: &ServerName) -> bool {
        *server == self.parts.ctx.config.server_name
    }

    /// Whether a user is one of ours.
    pub(super) async fn is_ours(&self, user: UserNid) -> Result<bool, ServiceError> {
        let user_id = self.ctx().store.user_id(user).await?;
        Ok(user_id.is_some_and(|user_id| self.is_us(user_id.server_name())))
    }

    /// Puts something into the queues of destinations.
    pub(super) fn push<'a>(self: &Arc<Self>, servers: impl Iterator<Item = &'a ServerName>, item: &Item) {
        let others = servers.filter(|server| !self.is_us(server));
        let begun: Vec<&ServerName> = {
            let mut board = self.board();
            others.filter(|server| board.push(server, item.clone())).collect()
        };
        for server in begun {
            self.begin(server);
        }
    }

    /// Puts something of the moment into a destination's queue.
    pub(super) fn push_passing(self: &Arc<Self>, server: &ServerName, passing: Passing) {
        if !self.is_us(server) && self.board().push_passing(server, passing) {
            self.begin(server);
        }
    }

    /// Begins to work on a destination: the board has said that nobody does.
    pub(super) fn begin(self: &Arc<Self>, server: &ServerName) {
        let work = worker::run(Arc::clone(self), server.to_owned());
        self.parts.tasks.spawn(work);
    }

    /// What no other EDU has: for one that has no place in the log.
    pub(super) fn moment(&self) -> String {
        let number = self.moments.fetch_add(1, Ordering::Relaxed);
        format!("moment {} {number}", self.nonce)
    }

    /// Has the log read from where the buckets are.
    pub(super) fn wake(&self) {
        self.more.notify_one();
    }

    /// Waits for [`Sender::wake`].
    pub(super) async fn woken(&self) {
        self.more.notified().await;
    }

    /// Waits for a place among the transactions under way. Whoever does not answer holds up nobody but his like.
    pub(super) async fn permit(&self, server: &ServerName) -> Option<SemaphorePermit<'_>> {
        let places = if self.has_answered(server) {
            &self.known
        } else {
            &self.unknown
        };
        places.acquire().await.ok()
    }

    /// Whether a server has answered this process the last time it was sent anything.
    pub(super) fn has_answered(&self, server: &ServerName) -> bool {
        self.answering().contains(server)
    }

    /// Remembers whether a server answers.
    pub(super) fn note(&self, server: &ServerName, answers: bool) {
        let mut answering = self.answering();
        if !answers {
            answering.remove(server);
        } else if !answering.contains(server) {
            if answering.len() >= ANSWERING_MAX {
                answering.clear();
            }
            answering.insert(server.to_owned());
        }
    }

    fn answering(&self) -> MutexGuard<'_, HashSet<OwnedServerName>> {
        self.answering.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
