//! Table `pending_redactions`: redactions whose events are not known yet. Only the master reads it.

use plexus_core::ids::{EventNid, RoomNid};
use ruma::EventId;

use crate::{
    StoreError,
    db::{Database, Statement},
    sql::{Int as _, statement, text},
};

/// Redactions of one event that are looked at when it comes; whoever sent more of them has redacted it.
const REDACTIONS_MAX: i64 = 10;

/// Remembers a redaction until its event comes.
pub fn insert(room: RoomNid, redacts: &EventId, redaction: EventNid) -> Statement {
    statement(
        "-- pending_redactions::insert
        INSERT INTO pending_redactions (room_nid, redacts, redaction_nid) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        [room.int(), text(redacts.as_str()), redaction.int()],
    )
}

/// Forgets the redactions of an event, which has come.
pub fn delete(room: RoomNid, redacts: &EventId) -> Statement {
    statement(
        "-- pending_redactions::delete
        DELETE FROM pending_redactions WHERE room_nid = $1 AND redacts = $2",
        [room.int(), text(redacts.as_str())],
    )
}

/// The redactions that wait for an event, oldest first.
pub async fn of(db: &Database, room: RoomNid, redacts: &EventId) -> Result<Vec<EventNid>, StoreError> {
    let sql = "-- pending_redactions::of
        SELECT redaction_nid FROM pending_redactions WHERE room_nid = $1 AND redacts = $2 ORDER BY redaction_nid LIMIT $3";
    let rows = db
        .query(sql, &[room.int(), text(redacts.as_str()), REDACTIONS_MAX.int()])
        .await?;
    rows.iter().map(|row| Ok(EventNid(row.int(0)?))).collect()
}
