//! The numbers the master gives out next. Read once, at promotion.

use plexus_core::ids::EventNid;

use crate::{
    StoreError,
    db::{Database, Statement},
    sql::{Int as _, one_row},
};

/// The first number of each kind that was never given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextNids {
    /// For a user.
    pub user: i64,
    /// For a room.
    pub room: i64,
    /// For a pair of event type and state key.
    pub state_key: i64,
    /// For an event.
    pub event: i64,
    /// For a task. Tasks go once they are done, so a number may have been another task's before.
    pub task: i64,
}

/// Remembers that an event of this number has been deleted, which may be the newest of all: its number is not given again, as the log still names it.
pub fn event_deleted(event: EventNid) -> Statement {
    one_row(
        "-- nids::event_deleted
        INSERT INTO deleted_nids (kind, greatest) VALUES ('event', $1)
        ON CONFLICT (kind) DO UPDATE SET greatest = CASE WHEN excluded.greatest > deleted_nids.greatest
            THEN excluded.greatest ELSE deleted_nids.greatest END",
        [event.int()],
    )
}

/// The first numbers that were never given out.
pub async fn next_nids(db: &Database) -> Result<NextNids, StoreError> {
    let sql = "-- nids::next_nids
        SELECT (SELECT COALESCE(MAX(user_nid), 0) FROM users), (SELECT COALESCE(MAX(room_nid), 0) FROM rooms),
            (SELECT COALESCE(MAX(state_key_nid), 0) FROM state_keys), (SELECT COALESCE(MAX(event_nid), 0) FROM events),
            (SELECT COALESCE(MAX(greatest), 0) FROM deleted_nids WHERE kind = 'event'),
            (SELECT COALESCE(MAX(id), 0) FROM tasks)";
    let Some(row) = db.query_opt(sql, &[]).await? else {
        return Err(StoreError::corrupt("events", "no greatest number"));
    };
    let next = |column| row.int(column).map(|greatest| greatest + 1);
    Ok(NextNids {
        user: next(0)?,
        room: next(1)?,
        state_key: next(2)?,
        event: next(3)?.max(next(4)?),
        task: next(5)?,
    })
}
