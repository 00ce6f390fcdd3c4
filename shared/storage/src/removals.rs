//! Table `removals`: purges of rooms' histories and deletions of rooms, and how far they are.

use bytes::Bytes;

use crate::{
    StoreError,
    db::{Database, DbRow, Statement},
    sql::{Int as _, bytes, one_row, statement, text},
};

/// Most removals that are told of one room, the newest ones.
const LISTED_MAX: i64 = 100;

/// What is removed. The discriminants are what the database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalKind {
    /// The events before a point.
    Purge = 1,
    /// All of a room.
    Deletion = 2,
}

/// How far it is. The discriminants are what the database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalStatus {
    /// Under way.
    Active = 1,
    /// Done.
    Complete = 2,
    /// Given up.
    Failed = 3,
}

/// A purge or a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Its name.
    pub id: String,
    /// The room.
    pub room_id: String,
    /// What it removes.
    pub kind: RemovalKind,
    /// How far it is.
    pub status: RemovalStatus,
    /// When it last went on.
    pub changed_ms: i64,
    /// What is told of it, as JSON.
    pub report: Bytes,
}

/// Begins one. It fails if there is one under way in the room.
pub fn insert(removal: &Removal) -> Statement {
    one_row(
        "-- removals::insert
        INSERT INTO removals (removal_id, room_id, kind, status, changed_ms, report) VALUES ($1, $2, $3, $4, $5, $6)",
        [
            text(&removal.id),
            text(&removal.room_id),
            (removal.kind as i64).int(),
            (removal.status as i64).int(),
            removal.changed_ms.int(),
            bytes(&removal.report),
        ],
    )
}

/// Goes on with one that is under way.
pub fn update(removal: &Removal) -> Statement {
    one_row(
        "-- removals::update
        UPDATE removals SET status = $2, changed_ms = $3, report = $4 WHERE removal_id = $1 AND status = 1",
        [
            text(&removal.id),
            (removal.status as i64).int(),
            removal.changed_ms.int(),
            bytes(&removal.report),
        ],
    )
}

/// Forgets those that ended before a time.
pub fn prune(before_ms: i64) -> Statement {
    statement(
        "-- removals::prune
        DELETE FROM removals WHERE status <> 1 AND changed_ms < $1",
        [before_ms.int()],
    )
}

/// One by its name.
pub async fn get(db: &Database, id: &str) -> Result<Option<Removal>, StoreError> {
    let sql = "-- removals::get
        SELECT removal_id, room_id, kind, status, changed_ms, report FROM removals WHERE removal_id = $1";
    let row = db.query_opt(sql, &[text(id)]).await?;
    row.as_ref().map(read).transpose()
}

/// Those of a room, the newest first.
pub async fn of_room(db: &Database, room_id: &str) -> Result<Vec<Removal>, StoreError> {
    let sql = "-- removals::of_room
        SELECT removal_id, room_id, kind, status, changed_ms, report FROM removals
        WHERE room_id = $1 ORDER BY changed_ms DESC LIMIT $2";
    let rows = db.query(sql, &[text(room_id), LISTED_MAX.int()]).await?;
    rows.iter().map(read).collect()
}

fn read(row: &DbRow) -> Result<Removal, StoreError> {
    let unknown = |what: &str, code: i64| StoreError::corrupt("removals", format!("{what} {code}"));
    let (kind, status) = (row.int(2)?, row.int(3)?);
    let kinds = [RemovalKind::Purge, RemovalKind::Deletion];
    let statuses = [RemovalStatus::Active, RemovalStatus::Complete, RemovalStatus::Failed];
    Ok(Removal {
        id: row.text(0)?.to_owned(),
        room_id: row.text(1)?.to_owned(),
        kind: kinds
            .into_iter()
            .find(|known| *known as i64 == kind)
            .ok_or_else(|| unknown("kind", kind))?,
        status: statuses
            .into_iter()
            .find(|known| *known as i64 == status)
            .ok_or_else(|| unknown("status", status))?,
        changed_ms: row.int(4)?,
        report: row.bytes(5)?,
    })
}
