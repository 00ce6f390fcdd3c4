//! Lanes: each room and each user has its Commands decided one after the other.
//!
//! A lane drains its queue, decides those Commands in turn and submits one change set, so a busy room gets many events into a commit. When the commit
//! fails, the lane forgets its pending head and decides the Commands again one by one, so that only the poison one errs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use plexus_proto::{Command, CommandDone, CommandResult};
use ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedUserId};
use tokio::sync::{mpsc, oneshot};

use crate::{
    change_set::ChangeSet,
    decide::{Decision, LaneState, decide, wants_all_committed},
    error::CommandError,
    leader::Leader,
    metrics,
    sequencer::{Committed, NotCommitted},
};

/// Commands that may wait in one lane; more are refused.
const LANE_QUEUE_MAX: usize = 1024;
/// Commands a lane decides in one turn.
const LANE_TURN_MAX: usize = 128;
/// How long an idle lane keeps its pending head in memory.
const LANE_IDLE: Duration = Duration::from_secs(30);
/// Lanes that may idle. Beyond it a lane ends as soon as its queue is empty.
const LANES_MAX: usize = 10_000;

/// What a lane is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LaneKey {
    Room(OwnedRoomId),
    User(OwnedUserId),
    Alias(OwnedRoomAliasId),
    /// A room that has no id yet: nobody else can have a Command for it.
    NewRoom(Vec<u8>),
}

impl LaneKey {
    /// Whether no second Command will come for it.
    fn is_used_once(&self) -> bool {
        matches!(self, Self::NewRoom(_))
    }
}

/// A Command on its way through a lane.
#[derive(Debug)]
struct Job {
    command: Command,
    reply: oneshot::Sender<Result<CommandDone, CommandError>>,
}

/// Every lane that is running.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Mutex<HashMap<LaneKey, mpsc::Sender<Job>>>);

impl Lanes {
    /// Runs a Command in its lane.
    pub(crate) async fn run(
        &self,
        leader: &Arc<Leader>,
        key: LaneKey,
        command: Command,
    ) -> Result<CommandDone, CommandError> {
        let (reply, done) = oneshot::channel();
        self.enqueue(leader, key, Job { command, reply })?;
        done.await.unwrap_or(Err(CommandError::NotLeader))
    }

    fn enqueue(&self, leader: &Arc<Leader>, key: LaneKey, job: Job) -> Result<(), CommandError> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A lane whose task has died takes its pending head with it, and no more: the next one loads the room anew.
        if lanes.get(&key).is_some_and(mpsc::Sender::is_closed) {
            lanes.remove(&key);
        }
        let queue = lanes.entry(key.clone()).or_insert_with(|| {
            let (queue, jobs) = mpsc::channel(LANE_QUEUE_MAX);
            leader.tasks.spawn(run_lane(Arc::clone(leader), key, jobs));
            queue
        });
        let sent = queue.try_send(job).map_err(|_| CommandError::Busy);
        metrics::lanes(lanes.len());
        sent
    }

    /// Takes the lane away if nothing waits in it. Under the lock that senders use, so that no job is lost.
    fn retire(&self, key: &LaneKey, jobs: &mpsc::Receiver<Job>) -> bool {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !jobs.is_empty() {
            return false;
        }
        lanes.remove(key);
        metrics::lanes(lanes.len());
        true
    }

    fn crowded(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len() > LANES_MAX
    }
}

async fn run_lane(leader: Arc<Leader>, key: LaneKey, mut jobs: mpsc::Receiver<Job>) {
    let mut state = LaneState::default();
    let mut turn = Vec::new();
    loop {
        let idle = if key.is_used_once() || leader.lanes.crowded() {
            Duration::ZERO
        } else {
            LANE_IDLE
        };
        let received = tokio::select! {
            biased;
            () = leader.deposed.cancelled() => return,
            received = tokio::time::timeout(idle, jobs.recv_many(&mut turn, LANE_TURN_MAX)) => received,
        };
        match received {
            Ok(0) => return,
            Ok(_) => take_turns(&leader, &mut state, &mut turn).await,
            Err(_) if leader.lanes.retire(&key, &jobs) => return,
            Err(_) => {}
        }
    }
}

/// Decides everything that has come: at once, but for Commands that want a turn of their own.
async fn take_turns(leader: &Leader, state: &mut LaneState, jobs: &mut Vec<Job>) {
    let mut rest = std::mem::take(jobs);
    while !rest.is_empty() {
        let alone = rest.iter().position(|job| wants_all_committed(&job.command));
        let next = rest.split_off(alone.unwrap_or(rest.len()).max(1));
        take_turn(leader, state, std::mem::replace(&mut rest, next)).await;
    }
}

/// Decides everything in `turn` on the pending head and commits it as one change set.
async fn take_turn(leader: &Leader, state: &mut LaneState, turn: Vec<Job>) {
    let mut change = ChangeSet::default();
    let mut decided = Vec::with_capacity(turn.len());
    for job in turn {
        match decide_job(leader, state, &job).await {
            Ok(decision) => {
                change.append(decision.change);
                decided.push((job, decision.result));
            }
            Err(error) => reply_error(leader, job, error).await,
        }
    }
    state.store_head(&mut change);
    if change.rows.is_empty() {
        for (job, result) in decided {
            let _ = job.reply.send(Ok(leader.nothing_changed(result)));
        }
        return;
    }
    match commit(leader, state, change).await {
        Ok(committed) => {
            for (job, result) in decided {
                reply_done(job, result, &committed);
            }
        }
        Err(NotCommitted::Deposed) => {
            for (job, _) in decided {
                let _ = job.reply.send(Err(CommandError::NotLeader));
            }
        }
        Err(NotCommitted::Poison) => {
            for (job, _) in decided {
                run_alone(leader, state, job).await;
            }
        }
    }
}

/// Decides and commits one Command by itself, after the turn it was in could not be committed.
async fn run_alone(leader: &Leader, state: &mut LaneState, job: Job) {
    let mut decision = match decide_job(leader, state, &job).await {
        Ok(decision) => decision,
        Err(error) => return reply_error(leader, job, error).await,
    };
    state.store_head(&mut decision.change);
    if decision.change.rows.is_empty() {
        let _ = job.reply.send(Ok(leader.nothing_changed(decision.result)));
        return;
    }
    match commit(leader, state, decision.change).await {
        Ok(committed) => reply_done(job, decision.result, &committed),
        Err(NotCommitted::Poison) => reply_error(leader, job, CommandError::Poison).await,
        Err(NotCommitted::Deposed) => reply_error(leader, job, CommandError::NotLeader).await,
    }
}

/// Commits a change set; when that fails, the pending head it came from is void.
async fn commit(leader: &Leader, state: &mut LaneState, change: ChangeSet) -> Result<Committed, NotCommitted> {
    let asks_for_tasks = change.asks_for_tasks;
    let outcome = leader.sequencer.commit(change).await;
    match &outcome {
        Ok(_) => state.committed(),
        Err(_) => *state = LaneState::default(),
    }
    if asks_for_tasks {
        leader.task_added.notify_one();
    }
    outcome
}

async fn decide_job(leader: &Leader, state: &mut LaneState, job: &Job) -> Result<Decision, CommandError> {
    let mut decision = decide(leader, state, &job.command).await?;
    if !decision.change.rows.is_empty() {
        leader.remember_result(&job.command, &mut decision);
    }
    Ok(decision)
}

/// A Command that fails may be the retry of one that succeeded: then its answer is the stored one.
async fn reply_error(leader: &Leader, job: Job, error: CommandError) {
    let answer = match leader.stored_result(&job.command.id).await {
        Ok(Some(done)) => Ok(done),
        Ok(None) => Err(error),
        Err(lookup) => {
            tracing::error!(error = %lookup, "the stored result of a command cannot be read");
            Err(error)
        }
    };
    let _ = job.reply.send(answer);
}

fn reply_done(job: Job, result: CommandResult, committed: &Committed) {
    let done = CommandDone {
        result: Some(result),
        frame: committed.encoded.clone(),
        writer: u32::from(committed.frame.writer.0),
        position: committed.frame.position,
        epoch: 0,
    };
    // A caller that is gone finds the result in `commands` when it retries.
    let _ = job.reply.send(Ok(done));
}
