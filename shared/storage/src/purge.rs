//! Taking events, or all of a room, out of the tables: a part of it in each change set, so that no transaction gets long.

use bytes::Bytes;
use plexus_core::{
    ids::{EventNid, RoomNid, UserNid},
    position::Sequence,
    row::{EventStatus, Membership},
};

use crate::{
    StoreError,
    db::{Database, Statement, Value},
    sql::{Int as _, one_row, statement},
};

/// An event that a purge comes to.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its number.
    pub nid: EventNid,
    /// Its id as the column has it.
    pub event_id: Bytes,
    /// Its place in the log.
    pub position: Sequence,
    /// Who sent it.
    pub sender: UserNid,
    /// Whether it is a state event.
    pub is_state: bool,
    /// The redaction that took its content.
    pub redacted_by: Option<EventNid>,
}

/// The oldest events of a room's timeline that are before a place in it.
pub async fn oldest(db: &Database, room: RoomNid, before_order: i64, limit: i64) -> Result<Vec<Candidate>, StoreError> {
    let sql = "-- purge::oldest
        SELECT event_nid, event_id, position, sender_nid, state_key_nid, redacted_by FROM events
        WHERE room_nid = $1 AND room_order < $2 ORDER BY room_order LIMIT $3";
    let rows = db.query(sql, &[room.int(), before_order.int(), limit.int()]).await?;
    rows.iter()
        .map(|row| {
            Ok(Candidate {
                nid: EventNid(row.int(0)?),
                event_id: row.bytes(1)?,
                position: row.int(2)?,
                sender: UserNid(row.int(3)?),
                is_state: row.opt_int(4)?.is_some(),
                redacted_by: row.opt_int(5)?.map(EventNid),
            })
        })
        .collect()
}

/// Those of these events that are in a timeline before a place in it.
pub async fn still_before(db: &Database, events: &[EventNid], before_order: i64) -> Result<Vec<EventNid>, StoreError> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "-- purge::still_before
        SELECT event_nid FROM events WHERE event_nid = ANY($1) AND room_order < $2";
    let rows = db.query(sql, &[list(events), before_order.int()]).await?;
    rows.iter().map(|row| Ok(EventNid(row.int(0)?))).collect()
}

/// Some events of a room, in its timeline or not.
pub async fn any(db: &Database, room: RoomNid, limit: i64) -> Result<Vec<EventNid>, StoreError> {
    let sql = "-- purge::any
        SELECT event_nid FROM events WHERE room_nid = $1 ORDER BY position LIMIT $2";
    let rows = db.query(sql, &[room.int(), limit.int()]).await?;
    rows.iter().map(|row| Ok(EventNid(row.int(0)?))).collect()
}

/// Deletes events.
pub fn delete_events(events: &[EventNid]) -> Statement {
    statement(
        "-- purge::delete_events
        DELETE FROM events WHERE event_nid = ANY($1)",
        [list(events)],
    )
}

/// Takes events out of the timeline and keeps them. They name no state any more: that of their time is not kept for them.
pub fn make_outliers(events: &[EventNid]) -> Statement {
    statement(
        "-- purge::make_outliers
        UPDATE events SET status = $2, room_order = NULL, state_before = 0, state_after = NULL, room_root = 0
        WHERE event_nid = ANY($1) AND status = $3",
        [
            list(events),
            EventStatus::Outlier.code().int(),
            EventStatus::Accepted.code().int(),
        ],
    )
}

/// Forgets what events relate to.
pub fn delete_relations(events: &[EventNid]) -> Statement {
    statement(
        "-- purge::delete_relations
        DELETE FROM relations WHERE event_nid = ANY($1)",
        [list(events)],
    )
}

/// Forgets that the events at these places highlight the room.
pub fn delete_highlights(room: RoomNid, positions: &[Sequence]) -> Statement {
    statement(
        "-- purge::delete_highlights
        DELETE FROM highlights WHERE room_nid = $1 AND position = ANY($2)",
        [room.int(), Value::Ints(positions.to_vec())],
    )
}

/// The local users who have ever had to do with a room.
pub async fn local_users(db: &Database, room: RoomNid) -> Result<Vec<UserNid>, StoreError> {
    let sql = "-- purge::local_users
        SELECT DISTINCT m.user_nid FROM memberships m JOIN accounts a ON a.user_nid = m.user_nid WHERE m.room_nid = $1 ORDER BY m.user_nid";
    let rows = db.query(sql, &[room.int()]).await?;
    rows.iter().map(|row| Ok(UserNid(row.int(0)?))).collect()
}

/// A row of the history of memberships.
#[derive(Clone, Copy, Debug)]
pub struct PastMember {
    /// Its place in the log.
    pub position: Sequence,
    /// Whose it is.
    pub user: UserNid,
    /// Whether it is the last one of a local user, who is out of the room.
    pub tells_left: bool,
}

/// The history of a room's memberships behind a row of it, given by its place and user.
pub async fn members_after(
    db: &Database,
    room: RoomNid,
    (position, user): (Sequence, UserNid),
    limit: i64,
) -> Result<Vec<PastMember>, StoreError> {
    let sql = "-- purge::members_after
        SELECT m.position, m.user_nid, CASE WHEN m.membership IN ($5, $6) AND EXISTS (SELECT 1 FROM accounts a WHERE a.user_nid = m.user_nid)
            AND NOT EXISTS (SELECT 1 FROM memberships n WHERE n.user_nid = m.user_nid AND n.room_nid = m.room_nid AND n.position > m.position)
            THEN 1 ELSE 0 END
        FROM memberships m WHERE m.room_nid = $1 AND (m.position, m.user_nid) > ($2, $3) ORDER BY m.position, m.user_nid LIMIT $4";
    let params = [
        room.int(),
        position.int(),
        user.int(),
        limit.int(),
        Membership::Leave.code().int(),
        Membership::Ban.code().int(),
    ];
    let rows = db.query(sql, &params).await?;
    rows.iter()
        .map(|row| {
            Ok(PastMember {
                position: row.int(0)?,
                user: UserNid(row.int(1)?),
                tells_left: row.int(2)? == 1,
            })
        })
        .collect()
}

/// Deletes a row of the history of memberships.
pub fn delete_member(room: RoomNid, member: PastMember) -> Statement {
    one_row(
        "-- purge::delete_member
        DELETE FROM memberships WHERE user_nid = $1 AND room_nid = $2 AND position = $3",
        [member.user.int(), room.int(), member.position.int()],
    )
}

/// Deletes a room's aliases.
pub fn delete_aliases(room: RoomNid) -> Statement {
    statement(
        "-- purge::delete_aliases
        DELETE FROM room_aliases WHERE room_nid = $1",
        [room.int()],
    )
}

/// What else is kept of a room, by tables: a query that tells whether there is some left, and what deletes a part of it.
const REST: [(&str, &str); 4] = [
    (
        "-- purge::has_receipts
        SELECT 1 FROM receipts WHERE room_nid = $1 LIMIT 1",
        "-- purge::delete_receipts
        DELETE FROM receipts WHERE room_nid = $1 AND user_nid IN (
            SELECT user_nid FROM receipts WHERE room_nid = $1 ORDER BY user_nid LIMIT $2)",
    ),
    (
        "-- purge::has_highlights
        SELECT 1 FROM highlights WHERE room_nid = $1 LIMIT 1",
        "-- purge::delete_all_highlights
        DELETE FROM highlights WHERE room_nid = $1 AND (user_nid, position) IN (
            SELECT user_nid, position FROM highlights WHERE room_nid = $1 ORDER BY user_nid, position LIMIT $2)",
    ),
    (
        "-- purge::has_account_data
        SELECT 1 FROM account_data WHERE room_nid = $1 AND room_nid <> 0 LIMIT 1",
        "-- purge::delete_account_data
        DELETE FROM account_data WHERE room_nid = $1 AND user_nid IN (
            SELECT user_nid FROM account_data WHERE room_nid = $1 AND room_nid <> 0 ORDER BY user_nid LIMIT $2)",
    ),
    (
        "-- purge::has_nodes
        SELECT 1 FROM state_nodes WHERE room_nid = $1 LIMIT 1",
        "-- purge::delete_nodes
        DELETE FROM state_nodes WHERE room_nid = $1 AND node_id IN (
            SELECT node_id FROM state_nodes WHERE room_nid = $1 ORDER BY node_id LIMIT $2)",
    ),
];

/// Deletes a part of what is kept of a room besides its events, members and aliases: about `limit` rows; none if nothing is left.
pub async fn delete_rest(db: &Database, room: RoomNid, limit: i64) -> Result<Option<Statement>, StoreError> {
    for (has_some, delete) in REST {
        if db.query_opt(has_some, &[room.int()]).await?.is_some() {
            return Ok(Some(statement(delete, [room.int(), limit.int()])));
        }
    }
    Ok(None)
}

fn list(events: &[EventNid]) -> Value {
    Value::Ints(events.iter().map(|event| event.0).collect())
}
