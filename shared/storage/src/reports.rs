//! Table `reports`: what users have reported to those who run the server. Free.

use plexus_core::ids::{EventNid, RoomNid, UserNid};

use crate::{
    StoreError,
    db::Database,
    sql::{Int as _, one_row, opt_int, text},
};

/// What a user has reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its number, made up.
    pub id: i64,
    /// When.
    pub created_ms: i64,
    /// Who reports.
    pub reporter: UserNid,
    /// The room, or the room of the event.
    pub room: Option<RoomNid>,
    /// The event.
    pub event: Option<EventNid>,
    /// The user.
    pub user: Option<UserNid>,
    /// How bad it is, as old clients say it: from 0 to -100.
    pub score: Option<i64>,
    /// What is wrong.
    pub reason: String,
}

/// Keeps a report.
pub async fn insert(db: &Database, report: &Report) -> Result<(), StoreError> {
    let sql = "-- reports::insert
        INSERT INTO reports (report_id, created_ms, reporter_nid, room_nid, event_nid, user_nid, score, reason)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let params = [
        report.id.int(),
        report.created_ms.int(),
        report.reporter.int(),
        opt_int(report.room.map(|room| room.0)),
        opt_int(report.event.map(|event| event.0)),
        opt_int(report.user.map(|user| user.0)),
        opt_int(report.score),
        text(&report.reason.replace('\0', " ")),
    ];
    db.execute(one_row(sql, params)).await?;
    Ok(())
}

/// How many reports a user has made since a time.
pub async fn count_since(db: &Database, reporter: UserNid, since_ms: i64) -> Result<i64, StoreError> {
    let sql = "-- reports::count_since
        SELECT count(*) FROM reports WHERE reporter_nid = $1 AND created_ms > $2";
    let row = db.query_opt(sql, &[reporter.int(), since_ms.int()]).await?;
    Ok(row.map(|row| row.int(0)).transpose()?.unwrap_or_default())
}

/// The newest reports, newest first.
pub async fn newest(db: &Database, limit: i64) -> Result<Vec<Report>, StoreError> {
    let sql = "-- reports::newest
        SELECT report_id, created_ms, reporter_nid, room_nid, event_nid, user_nid, score, reason
        FROM reports ORDER BY created_ms DESC LIMIT $1";
    let rows = db.query(sql, &[limit.int()]).await?;
    rows.iter()
        .map(|row| {
            Ok(Report {
                id: row.int(0)?,
                created_ms: row.int(1)?,
                reporter: UserNid(row.int(2)?),
                room: row.opt_int(3)?.map(RoomNid),
                event: row.opt_int(4)?.map(EventNid),
                user: row.opt_int(5)?.map(UserNid),
                score: row.opt_int(6)?,
                reason: row.text(7)?.to_owned(),
            })
        })
        .collect()
}
