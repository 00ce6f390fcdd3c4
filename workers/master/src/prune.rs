//! Removes what has had its time: old frames of the log, old results of Commands, tickets nobody has shown.

use std::{sync::Arc, time::Duration};

use plexus_core::position::WriterId;
use plexus_storage::{StoreError, commands, log, received_transactions, removals, tickets};

use crate::leader::Leader;

/// How long frames are kept: a reader that was away for longer starts over at the head.
const LOG_KEPT_MS: i64 = 24 * 3_600_000;
/// How long results are kept: a client that repeats a transaction later than this does it anew.
const RESULTS_KEPT_MS: i64 = 24 * 3_600_000;
/// How long purges and deletions that have ended can be asked for.
const REMOVALS_KEPT_MS: i64 = 7 * 24 * 3_600_000;
/// How long it is known that another server's transaction has been taken: it sends no other before it has an answer.
const TRANSACTIONS_KEPT_MS: i64 = 24 * 3_600_000;
/// How often to look.
const INTERVAL: Duration = Duration::from_secs(600);
/// Rows removed in one statement, so that no transaction gets long.
const ROWS_MAX: i64 = 5_000;

/// Prunes until the term ends.
pub(crate) async fn run(leader: Arc<Leader>) {
    loop {
        tokio::select! {
            () = leader.deposed.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        if let Err(error) = prune(&leader).await {
            tracing::error!(%error, "old rows cannot be removed");
        }
    }
}

async fn prune(leader: &Leader) -> Result<(), StoreError> {
    let db = leader.store.db();
    let now_ms = leader.clock.now_ms();
    while db
        .execute(log::prune(WriterId::MASTER, now_ms - LOG_KEPT_MS, ROWS_MAX))
        .await?
        > 0
    {}
    loop {
        let up_to = commands::older_than(db, now_ms - RESULTS_KEPT_MS).await?;
        if db.execute(commands::prune(up_to)).await? == 0 {
            break;
        }
    }
    db.execute(removals::prune(now_ms - REMOVALS_KEPT_MS)).await?;
    while tickets::prune(db, now_ms).await? > 0 {}
    while received_transactions::prune(db, now_ms - TRANSACTIONS_KEPT_MS, ROWS_MAX).await? > 0 {}
    Ok(())
}
