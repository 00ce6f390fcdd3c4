//! Table `tasks`: follow-up Commands, written with the change that asks for them and removed with the change that does them. Only the master reads it.

use bytes::Bytes;
use plexus_core::position::{Epoch, WriterId};

use crate::{
    StoreError,
    db::{Database, Statement},
    sql::{Int as _, bytes, one_row, statement},
};

/// A follow-up Command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its number.
    pub id: i64,
    /// When it is to be done.
    pub due_ms: i64,
    /// The Command, encoded.
    pub command: Bytes,
}

/// Asks for a Command.
pub fn insert(task: &Task) -> Statement {
    one_row(
        "-- tasks::insert
        INSERT INTO tasks (id, due_ms, command) VALUES ($1, $2, $3)",
        [task.id.int(), task.due_ms.int(), bytes(&task.command)],
    )
}

/// The Command is done, or there is nothing left for it to do.
pub fn delete(id: i64) -> Statement {
    statement(
        "-- tasks::delete
        DELETE FROM tasks WHERE id = $1",
        [id.int()],
    )
}

/// The Command is not to be done, so says who leads in this epoch.
pub fn end(id: i64, epoch: Epoch) -> Statement {
    statement(
        "-- tasks::end
        DELETE FROM tasks WHERE id = $1 AND EXISTS (SELECT 1 FROM log_head WHERE writer = $2 AND epoch = $3)",
        [id.int(), i64::from(WriterId::MASTER.0).int(), epoch.int()],
    )
}

/// The Command is to be done later, so says who leads in this epoch.
pub fn postpone(id: i64, due_ms: i64, epoch: Epoch) -> Statement {
    statement(
        "-- tasks::postpone
        UPDATE tasks SET due_ms = $2 WHERE id = $1 AND EXISTS (SELECT 1 FROM log_head WHERE writer = $3 AND epoch = $4)",
        [id.int(), due_ms.int(), i64::from(WriterId::MASTER.0).int(), epoch.int()],
    )
}

/// What is due, the longest overdue first, at most `limit`.
pub async fn due(db: &Database, now_ms: i64, limit: i64) -> Result<Vec<Task>, StoreError> {
    let sql = "-- tasks::due
        SELECT id, due_ms, command FROM tasks WHERE due_ms <= $1 ORDER BY due_ms, id LIMIT $2";
    let rows = db.query(sql, &[now_ms.int(), limit.int()]).await?;
    rows.iter()
        .map(|row| {
            Ok(Task {
                id: row.int(0)?,
                due_ms: row.int(1)?,
                command: row.bytes(2)?,
            })
        })
        .collect()
}

/// When the next one is due.
pub async fn next_due_ms(db: &Database) -> Result<Option<i64>, StoreError> {
    let sql = "-- tasks::next_due_ms
        SELECT due_ms FROM tasks ORDER BY due_ms LIMIT 1";
    let row = db.query_opt(sql, &[]).await?;
    Ok(row.map(|row| row.int(0)).transpose()?)
}
