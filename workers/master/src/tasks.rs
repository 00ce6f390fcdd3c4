//! Follow-up Commands: written with the change that asks for them, run here, removed with the change that does them.

use std::{sync::Arc, time::Duration};

use plexus_proto::Command;
use plexus_storage::tasks;
use prost::Message as _;

use crate::{error::CommandError, leader::Leader};

/// Tasks taken up at once.
const BATCH_MAX: i64 = 100;
/// How long a task waits that failed for a reason that may pass.
const RETRY_MS: i64 = 5_000;
/// How often the table is looked at when nothing tells of a new task: bounds the delay after a failover.
const POLL: Duration = Duration::from_secs(1);

/// Runs tasks until the term ends.
pub(crate) async fn run(leader: Arc<Leader>) {
    loop {
        tokio::select! {
            () = leader.deposed.cancelled() => return,
            () = leader.task_added.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
        if let Err(error) = run_due(&leader).await {
            tracing::error!(%error, "tasks cannot be run");
        }
    }
}

async fn run_due(leader: &Arc<Leader>) -> Result<(), CommandError> {
    loop {
        let due = tasks::due(leader.store.db(), leader.clock.now_ms(), BATCH_MAX).await?;
        if due.is_empty() {
            return Ok(());
        }
        for task in due {
            let command = Command::decode(task.command).map_err(|_| CommandError::Damaged("a task"))?;
            let result = leader.run(command).await;
            // One that had nothing to change, or may no longer be done, wrote nothing: not even its own end. A master that does not know yet that it leads no
            // more may be refused what the next one will do: so this is written only while the log is of its epoch.
            if let Err(error) = &result {
                if matches!(error, CommandError::NotLeader) {
                    return Ok(());
                }
                tracing::warn!(task.id, %error, "a task was refused");
                if error.may_pass() || matches!(error, CommandError::Poison) {
                    let due_ms = leader.clock.now_ms() + RETRY_MS;
                    let postpone = tasks::postpone(task.id, due_ms, leader.epoch);
                    leader.store.db().execute(postpone).await?;
                    continue;
                }
            }
            leader.store.db().execute(tasks::end(task.id, leader.epoch)).await?;
        }
    }
}
