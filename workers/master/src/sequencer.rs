//! The one task that appends to the log.
//!
//! It gathers the change sets that are waiting, numbers their rows, writes them with the log row in one transaction and moves the head by
//! compare-and-swap. Nobody is answered, and nothing is published, before COMMIT.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use plexus_core::{
    position::{Epoch, Sequence, WriterId},
    row::Frame,
};
use plexus_replication::{Clock, Publisher, frames};
use plexus_storage::{
    Store,
    db::{CommitError, DbError, Statement, Value, Writer},
    log::{self, StoredFrame},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    change_set::{ChangeSet, renumber},
    metrics,
};

/// Change sets that may wait for their commit. Lanes wait for room beyond it.
const QUEUE_MAX: usize = 4096;
/// Rows in one commit: bounds a frame, and what one failed attempt repeats.
const BATCH_ROWS_MAX: usize = 1024;
/// Tries of a commit that failed for reasons that may pass, before the leader steps down.
const ATTEMPTS_MAX: u32 = 8;
/// The pause before the second attempt; doubles with each further one.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// A commit, as those who were in it learn of it.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    pub(crate) frame: Arc<Frame>,
    /// The frame without bodies, as the log stores it and as answers carry it.
    pub(crate) encoded: Bytes,
}

/// Why a change set was not committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotCommitted {
    /// The database refused this very change set.
    Poison,
    /// Another master leads, or the database cannot be reached for long.
    Deposed,
}

struct Submission {
    change: ChangeSet,
    reply: oneshot::Sender<Result<Committed, NotCommitted>>,
}

/// Hands change sets to the sequencer.
#[derive(Clone, Debug)]
pub(crate) struct SequencerHandle {
    queue: mpsc::Sender<Submission>,
}

impl std::fmt::Debug for Submission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Submission")
            .field("rows", &self.change.rows.len())
            .finish_non_exhaustive()
    }
}

impl SequencerHandle {
    /// Commits a change set and returns the frame it is in.
    pub(crate) async fn commit(&self, change: ChangeSet) -> Result<Committed, NotCommitted> {
        debug_assert!(
            !change.rows.is_empty(),
            "a commit without a row has no place on the chain"
        );
        let (reply, done) = oneshot::channel();
        let submission = Submission { change, reply };
        self.queue.send(submission).await.map_err(|_| NotCommitted::Deposed)?;
        done.await.unwrap_or(Err(NotCommitted::Deposed))
    }
}

/// The sequencer's state: its connection and its place on the chain.
pub(crate) struct Sequencer {
    pub(crate) store: Store,
    pub(crate) writer: Writer,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) clock: Clock,
    pub(crate) writer_id: WriterId,
    pub(crate) epoch: Epoch,
    pub(crate) head: Sequence,
}

impl std::fmt::Debug for Sequencer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sequencer")
            .field("epoch", &self.epoch)
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

/// What one attempt at a commit came to.
enum Attempt {
    Committed(Committed),
    /// Nothing was written, because of the submission at this index.
    Poison(usize),
    /// Nothing was written, because of one of the submissions.
    Refused(DbError),
    /// Nothing was written, for a reason that may pass.
    Retry(DbError),
    Deposed,
}

/// This process does not lead any more.
#[derive(Debug)]
struct Deposed;

impl Sequencer {
    /// Makes the queue that [`Sequencer::run`] empties.
    pub(crate) fn queue() -> (SequencerHandle, SequencerQueue) {
        let (queue, submissions) = mpsc::channel(QUEUE_MAX);
        (SequencerHandle { queue }, SequencerQueue(submissions))
    }

    /// Commits what comes until the leader is deposed; `deposed` is cancelled when it is this that finds it out.
    pub(crate) async fn run(mut self, mut queue: SequencerQueue, deposed: CancellationToken) {
        loop {
            let batch = tokio::select! {
                batch = queue.gather() => batch,
                () = deposed.cancelled() => return,
            };
            let Some(batch) = batch else { return };
            if self.commit_batch(batch).await.is_err() {
                return deposed.cancel();
            }
        }
    }

    /// Commits a batch. A change set that turns out to be poison errs alone; the others do not depend on it.
    async fn commit_batch(&mut self, mut batch: Vec<Submission>) -> Result<(), Deposed> {
        let mut attempts = 0;
        while !batch.is_empty() {
            match self.attempt(&batch).await {
                Attempt::Committed(committed) => {
                    let frame = Arc::clone(&committed.frame);
                    self.publisher
                        .publish(frame, move || reply_all(batch, &Ok(committed)))
                        .await;
                    return Ok(());
                }
                Attempt::Poison(index) => reply_all(vec![batch.remove(index)], &Err(NotCommitted::Poison)),
                Attempt::Refused(error) => {
                    tracing::error!(%error, change_sets = batch.len(), "the database refused a commit");
                    if batch.len() == 1 {
                        reply_all(batch, &Err(NotCommitted::Poison));
                        return Ok(());
                    }
                    for submission in batch {
                        Box::pin(self.commit_batch(vec![submission])).await?;
                    }
                    return Ok(());
                }
                Attempt::Retry(error) => {
                    tracing::warn!(%error, attempts, "the commit failed");
                    if attempts == ATTEMPTS_MAX {
                        return Err(Deposed);
                    }
                    tokio::time::sleep(RETRY_PAUSE * 2_u32.pow(attempts)).await;
                    attempts += 1;
                }
                Attempt::Deposed => {
                    tracing::warn!(epoch = self.epoch, "another master leads");
                    return Err(Deposed);
                }
            }
        }
        Ok(())
    }

    async fn attempt(&mut self, batch: &[Submission]) -> Attempt {
        let (frame, mut statements, owners) = self.assemble(batch);
        let encoded = frames::encode_stored(&frame);
        // These two belong to no submission: if the head does not move, somebody else has moved it.
        statements.push(log::append(
            self.writer_id,
            stored(&frame, encoded.clone(), self.clock.now_ms()),
        ));
        statements.push(log::advance_head(
            self.writer_id,
            self.epoch,
            frame.previous,
            frame.position,
        ));
        let started = Instant::now();
        let outcome = self.writer.commit(statements).await;
        metrics::commit(frame.rows.len(), batch.len(), started.elapsed());
        match outcome {
            Ok(()) => Attempt::Committed(self.move_to(frame, encoded)),
            Err(CommitError::Unexpected { statement, .. }) => owners
                .get(statement)
                .map_or(Attempt::Deposed, |index| Attempt::Poison(*index)),
            Err(CommitError::Failed(error)) if error.is_transient() => Attempt::Retry(error),
            Err(CommitError::Failed(error)) => Attempt::Refused(error),
            Err(CommitError::Unknown(error)) => {
                tracing::warn!(%error, "nobody knows whether the commit happened, reading the head");
                match self.happened(frame.position).await {
                    Some(true) => Attempt::Committed(self.move_to(frame, encoded)),
                    Some(false) => Attempt::Retry(error),
                    None => Attempt::Deposed,
                }
            }
        }
    }

    fn move_to(&mut self, frame: Frame, encoded: Bytes) -> Committed {
        self.head = frame.position;
        Committed {
            frame: Arc::new(frame),
            encoded,
        }
    }

    /// Numbers the rows of a batch. `owners[i]` is the submission statement `i` came from.
    fn assemble(&self, batch: &[Submission]) -> (Frame, Vec<Statement>, Vec<usize>) {
        let mut rows = Vec::new();
        let mut statements = Vec::new();
        let mut owners = Vec::new();
        for (index, submission) in batch.iter().enumerate() {
            let base = self.head + 1 + as_sequence(rows.len());
            let mut own = submission.change.statements.clone();
            renumber(&mut own, |row| Value::Int(base + as_sequence(row)));
            owners.resize(owners.len() + own.len(), index);
            statements.append(&mut own);
            rows.extend(submission.change.rows.iter().cloned());
        }
        let frame = Frame {
            writer: self.writer_id,
            epoch: self.epoch,
            previous: self.head,
            position: self.head + as_sequence(rows.len()),
            rows,
        };
        (frame, statements, owners)
    }

    /// Whether the commit that leads to `position` happened; nothing if this process cannot know, and must step down.
    async fn happened(&mut self, position: Sequence) -> Option<bool> {
        for attempt in 0..ATTEMPTS_MAX {
            match log::head(self.store.db(), self.writer_id).await {
                Ok(Some(head)) if head.epoch == self.epoch && head.position == position => return Some(true),
                Ok(Some(head)) if head.epoch == self.epoch && head.position == self.head => return Some(false),
                Ok(_) => return None,
                Err(error) => {
                    tracing::warn!(%error, attempt, "the head cannot be read");
                    tokio::time::sleep(RETRY_PAUSE * 2_u32.pow(attempt)).await;
                }
            }
        }
        None
    }
}

fn stored(frame: &Frame, encoded: Bytes, created_ms: i64) -> StoredFrame {
    StoredFrame {
        previous: frame.previous,
        position: frame.position,
        epoch: frame.epoch,
        created_ms,
        frame: encoded,
    }
}

fn reply_all(batch: Vec<Submission>, result: &Result<Committed, NotCommitted>) {
    for submission in batch {
        // A caller that is gone finds its result in `commands` when it retries.
        let _ = submission.reply.send(result.clone());
    }
}

/// The change sets that wait for a commit.
#[derive(Debug)]
pub(crate) struct SequencerQueue(mpsc::Receiver<Submission>);

impl SequencerQueue {
    /// Everything that is waiting, up to [`BATCH_ROWS_MAX`] rows; waits for the first.
    async fn gather(&mut self) -> Option<Vec<Submission>> {
        let mut batch = vec![self.0.recv().await?];
        let mut rows = batch[0].change.rows.len();
        while rows < BATCH_ROWS_MAX {
            let Ok(submission) = self.0.try_recv() else { break };
            rows += submission.change.rows.len();
            batch.push(submission);
        }
        Some(batch)
    }
}

fn as_sequence(rows: usize) -> Sequence {
    Sequence::try_from(rows).expect("a batch has fewer rows than i64 has numbers")
}
