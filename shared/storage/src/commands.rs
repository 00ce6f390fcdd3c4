//! Table `commands`: the result of every Command, so that a retry gets the same answer. Only the master reads it.

use bytes::Bytes;
use plexus_core::position::Sequence;

use crate::{
    StoreError,
    db::{Database, Statement, Value},
    sql::{Int as _, bytes, one_row, statement},
};

/// A Command's result, with the place on the chain that shows what it did. A second result for the same id fails the change set.
pub fn insert(id: &[u8], position: Value, created_ms: i64, result: &[u8]) -> Statement {
    one_row(
        "-- commands::insert
        INSERT INTO commands (id, position, created_ms, result) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
        [bytes(id), position, created_ms.int(), bytes(result)],
    )
}

/// Removes the results of Commands up to a place on the chain.
pub fn prune(up_to: Sequence) -> Statement {
    statement(
        "-- commands::prune
        DELETE FROM commands WHERE position <= $1",
        [up_to.int()],
    )
}

/// The result of a Command that has been done.
pub async fn get(db: &Database, id: &[u8]) -> Result<Option<(Sequence, Bytes)>, StoreError> {
    let sql = "-- commands::get
        SELECT position, result FROM commands WHERE id = $1";
    let Some(row) = db.query_opt(sql, &[bytes(id)]).await? else {
        return Ok(None);
    };
    Ok(Some((row.int(0)?, row.bytes(1)?)))
}

/// The newest place such that every Command up to it is older than `before_ms`: what [`prune`] may be given. 0 if there is none.
pub async fn older_than(db: &Database, before_ms: i64) -> Result<Sequence, StoreError> {
    let sql = "-- commands::older_than
        SELECT position, created_ms FROM commands ORDER BY position LIMIT $1";
    let mut oldest = 0;
    for row in db.query(sql, &[PRUNED_AT_ONCE_MAX.int()]).await? {
        if row.int(1)? >= before_ms {
            break;
        }
        oldest = row.int(0)?;
    }
    Ok(oldest)
}

/// Most Commands that [`older_than`] looks at, so that one prune is no long transaction.
pub const PRUNED_AT_ONCE_MAX: i64 = 5_000;
