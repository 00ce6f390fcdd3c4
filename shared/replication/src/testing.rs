//! A log in memory and readers that write down what they are given.

pub(crate) mod master;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use plexus_core::{
    ids::UserNid,
    position::{Epoch, Sequence, WriterId},
    row::{Frame, Row},
};
use tokio::{runtime::Handle, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    fill::{FillError, Updates},
    frames,
    receiver::{Hooks, Receiver},
    tasks::Tasks,
};

pub(crate) const W1: WriterId = WriterId(1);
pub(crate) const W2: WriterId = WriterId(2);
/// Longest any test waits for anything.
pub(crate) const PATIENCE_MAX: Duration = Duration::from_secs(20);

pub(crate) type Applied = Vec<(WriterId, Epoch, Sequence, Row)>;

pub(crate) fn tasks() -> Tasks {
    Tasks::new(TaskTracker::new(), CancellationToken::new(), Handle::current())
}

/// A row that can be told from others.
pub(crate) fn row(user: i64) -> Row {
    Row::Profile { user: UserNid(user) }
}

pub(crate) fn frame(writer: WriterId, epoch: Epoch, previous: Sequence, rows: Vec<Row>) -> Arc<Frame> {
    let position = previous + Sequence::try_from(rows.len()).unwrap();
    Arc::new(Frame {
        writer,
        epoch,
        previous,
        position,
        rows,
    })
}

/// A condition, with a deadline.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE_MAX;
    while !holds() {
        assert!(Instant::now() < deadline, "waited too long: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// What the database holds.
#[derive(Debug, Default)]
pub(crate) struct Log {
    chains: Mutex<BTreeMap<WriterId, StoredChain>>,
    /// Fetches so far.
    pub(crate) fetched: AtomicUsize,
    /// Fetches that are to fail.
    pub(crate) failing: AtomicUsize,
}

#[derive(Debug, Default)]
struct StoredChain {
    epoch: Epoch,
    frames: Vec<Arc<Frame>>,
    /// Frames at the start that are pruned.
    pruned: usize,
}

impl StoredChain {
    fn head(&self) -> (Epoch, Sequence) {
        (self.epoch, self.frames.last().map_or(0, |frame| frame.position))
    }
}

impl Log {
    pub(crate) fn commit(&self, writer: WriterId, rows: Vec<Row>) -> Arc<Frame> {
        let mut chains = self.chains.lock().unwrap();
        let chain = chains.entry(writer).or_default();
        chain.epoch = chain.epoch.max(1);
        let (epoch, head) = chain.head();
        let frame = frame(writer, epoch, head, rows);
        chain.frames.push(Arc::clone(&frame));
        frame
    }

    pub(crate) fn take_over(&self, writer: WriterId) {
        self.chains.lock().unwrap().entry(writer).or_default().epoch += 1;
    }

    pub(crate) fn prune(&self, writer: WriterId, frames: usize) {
        self.chains.lock().unwrap().entry(writer).or_default().pruned = frames;
    }

    pub(crate) fn head(&self, writer: WriterId) -> (Epoch, Sequence) {
        self.chains.lock().unwrap().entry(writer).or_default().head()
    }

    pub(crate) fn heartbeat(&self, writer: WriterId) -> Arc<Frame> {
        let (epoch, at) = self.head(writer);
        frame(writer, epoch, at, Vec::new())
    }

    /// Every row of a chain after a place, as a reader is to be given it.
    pub(crate) fn rows(&self, writer: WriterId, after: Sequence) -> Applied {
        let mut chains = self.chains.lock().unwrap();
        let frames = &chains.entry(writer).or_default().frames;
        let rows = frames.iter().flat_map(|frame| {
            frame
                .numbered_rows()
                .map(|(sequence, row)| (frame.writer, frame.epoch, sequence, row.clone()))
        });
        rows.filter(|(_, _, sequence, _)| *sequence > after).collect()
    }

    /// As the master or the database answers, `limit` frames at a time.
    pub(crate) fn updates(&self, writer: WriterId, after: Sequence, limit: usize) -> Result<Updates, FillError> {
        self.fetched.fetch_add(1, SeqCst);
        let fail = self.failing.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        if fail.is_ok() {
            return Err(FillError("the test says so".into()));
        }
        let mut chains = self.chains.lock().unwrap();
        let chain = chains.entry(writer).or_default();
        let kept = chain.frames[chain.pruned..]
            .iter()
            .filter(|frame| frame.position > after);
        let frames: Vec<_> = kept.take(limit).collect();
        let too_old = frames
            .first()
            .map_or(chain.head().1 > after, |first| first.previous != after);
        let frames = frames.into_iter().map(|frame| frames::encode_stored(frame)).collect();
        Ok(Updates {
            frames,
            too_old,
            whole: false,
            head: chain.head(),
        })
    }
}

/// A reader and what it was given.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) receiver: Arc<Receiver>,
    pub(crate) applied: Arc<Mutex<Applied>>,
    pub(crate) caches_dropped: Arc<AtomicUsize>,
    pub(crate) ephemeral_epochs: Arc<Mutex<Vec<Epoch>>>,
}

impl Reader {
    /// A reader that starts at places on chains and fills from `updates`.
    pub(crate) fn new<F>(
        heads: &[(WriterId, Epoch, Sequence)],
        updates: impl Fn(WriterId, Epoch, Sequence) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Updates, FillError>> + Send + 'static,
    {
        let applied = Arc::new(Mutex::new(Applied::new()));
        let caches_dropped = Arc::new(AtomicUsize::new(0));
        let ephemeral_epochs = Arc::new(Mutex::new(Vec::new()));
        let (written, dropped, epochs) = (
            Arc::clone(&applied),
            Arc::clone(&caches_dropped),
            Arc::clone(&ephemeral_epochs),
        );
        let hooks = Hooks {
            apply: Box::new(move |writer, epoch, sequence, row| {
                written.lock().unwrap().push((writer, epoch, sequence, row.clone()));
            }),
            drop_caches: Box::new(move || {
                dropped.fetch_add(1, SeqCst);
            }),
            forget_ephemeral: Box::new(move |epoch| epochs.lock().unwrap().push(epoch)),
            rooms_of: Box::new(|_| None),
            updates: Box::new(move |writer, epoch, after| Box::pin(updates(writer, epoch, after))),
        };
        let receiver = Receiver::new(hooks, tasks(), heads);
        Self {
            receiver,
            applied,
            caches_dropped,
            ephemeral_epochs,
        }
    }

    /// A reader of a log from its start.
    pub(crate) fn of(log: &Arc<Log>) -> Self {
        let log = Arc::clone(log);
        Self::new(&[(W1, 0, 0), (W2, 0, 0)], move |writer, _, after| {
            let updates = log.updates(writer, after, 2);
            async { updates }
        })
    }

    /// The sequences applied of one chain.
    pub(crate) fn sequences(&self, writer: WriterId) -> Vec<Sequence> {
        self.given(writer)
            .into_iter()
            .map(|(_, _, sequence, _)| sequence)
            .collect()
    }

    pub(crate) fn given(&self, writer: WriterId) -> Applied {
        self.applied
            .lock()
            .unwrap()
            .iter()
            .filter(|given| given.0 == writer)
            .cloned()
            .collect()
    }

    pub(crate) async fn reaches(&self, writer: WriterId, at: Sequence) {
        let reached = self.receiver.reached(writer, (0, at));
        tokio::time::timeout(PATIENCE_MAX, reached)
            .await
            .expect("the reader gets there");
    }
}
