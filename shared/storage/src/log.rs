//! The stored log: its head, its frames, and the statements that move them. Ordered.
//!
//! Frames are bytes here; what is in them is known to the crate that publishes them.

use bytes::Bytes;
use plexus_core::position::{Epoch, Sequence, WriterId};

use crate::db::{Database, DbError, DbRow, Statement};

/// The end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The sequence of the last row.
    pub position: Sequence,
    /// The highest epoch that has taken the chain over.
    pub epoch: Epoch,
}

/// One group commit as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFrame {
    /// The place on the chain it follows.
    pub previous: Sequence,
    /// The place it leads to.
    pub position: Sequence,
    /// The term it was written in.
    pub epoch: Epoch,
    /// When, in milliseconds since the epoch.
    pub created_ms: i64,
    /// The frame, encoded.
    pub frame: Bytes,
}

/// The end of the chain; nothing if nobody has led it yet.
pub async fn head(db: &Database, writer: WriterId) -> Result<Option<Head>, DbError> {
    let sql = "-- log::head\nSELECT position, epoch FROM log_head WHERE writer = $1";
    let Some(row) = db.query_opt(sql, &[code(writer)]).await? else {
        return Ok(None);
    };
    Ok(Some(Head {
        position: row.int(0)?,
        epoch: row.int(1)?,
    }))
}

/// The frames that follow `after`, in order, at most `limit`.
///
/// If the first one's `previous` is not `after`, that part of the log is pruned.
pub async fn frames_after(
    db: &Database,
    writer: WriterId,
    after: Sequence,
    limit: i64,
) -> Result<Vec<StoredFrame>, DbError> {
    let sql = "-- log::frames_after\n\
        SELECT previous, position, epoch, created_ms, frame FROM log WHERE writer = $1 AND position > $2 ORDER BY position LIMIT $3";
    let rows = db.query(sql, &[code(writer), after.into(), limit.into()]).await?;
    rows.iter().map(read).collect()
}

/// The earliest place a reader can go on from; nothing if no frame is stored.
pub async fn oldest(db: &Database, writer: WriterId) -> Result<Option<Sequence>, DbError> {
    let sql = "-- log::oldest\nSELECT previous FROM log WHERE writer = $1 ORDER BY position LIMIT 1";
    let row = db.query_opt(sql, &[code(writer)]).await?;
    row.map(|row| row.int(0)).transpose()
}

/// Makes `epoch` the chain's, so that no earlier leader's commit succeeds. False if a later one has it already.
pub async fn take_over(db: &Database, writer: WriterId, epoch: Epoch) -> Result<bool, DbError> {
    let sql = "-- log::take_over\n\
        INSERT INTO log_head (writer, position, epoch) VALUES ($1, 0, $2)\n\
        ON CONFLICT (writer) DO UPDATE SET epoch = excluded.epoch WHERE log_head.epoch < excluded.epoch";
    Ok(db.execute(Statement::new(sql, [code(writer), epoch.into()])).await? == 1)
}

/// Moves the head of the chain: lease check, order and head in one. It must touch one row, or the writer is deposed.
pub fn advance_head(writer: WriterId, epoch: Epoch, previous: Sequence, position: Sequence) -> Statement {
    let sql = "-- log::advance_head\n\
        UPDATE log_head SET position = $4 WHERE writer = $1 AND epoch = $2 AND position = $3";
    let params = [code(writer), epoch.into(), previous.into(), position.into()];
    Statement::new(sql, params).expecting(1)
}

/// Appends a frame to the chain.
pub fn append(writer: WriterId, frame: StoredFrame) -> Statement {
    let sql = "-- log::append\n\
        INSERT INTO log (writer, position, previous, epoch, created_ms, frame) VALUES ($1, $2, $3, $4, $5, $6)";
    let params = [
        code(writer),
        frame.position.into(),
        frame.previous.into(),
        frame.epoch.into(),
        frame.created_ms.into(),
        frame.frame.into(),
    ];
    Statement::new(sql, params).expecting(1)
}

/// Deletes those of the chain's `limit` oldest frames that are older than `before_ms`.
pub fn prune(writer: WriterId, before_ms: i64, limit: i64) -> Statement {
    let sql = "-- log::prune\n\
        DELETE FROM log WHERE writer = $1 AND position IN (\n\
        SELECT position FROM (SELECT position, created_ms FROM log WHERE writer = $1 ORDER BY position LIMIT $3) AS oldest WHERE created_ms < $2)";
    Statement::new(sql, [code(writer), before_ms.into(), limit.into()])
}

fn read(row: &DbRow) -> Result<StoredFrame, DbError> {
    Ok(StoredFrame {
        previous: row.int(0)?,
        position: row.int(1)?,
        epoch: row.int(2)?,
        created_ms: row.int(3)?,
        frame: row.bytes(4)?,
    })
}

fn code(writer: WriterId) -> crate::db::Value {
    i64::from(writer.0).into()
}
