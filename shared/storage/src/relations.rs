//! Table `relations`: which events point to which.

mod parents;

use bytes::Bytes;
use plexus_core::{
    event::{EventBody, RelationKind},
    ids::{EventNid, RoomNid, UserNid},
    position::Sequence,
    room_version::RoomVersion,
};
use ruma::EventId;

pub(crate) use self::parents::Parents;
use crate::{
    Store, StoreError,
    db::{Database, DbRow, Statement, Value},
    events::{Direction, EVENTS_PER_PAGE_MAX, StoredEvent, event_id_bytes},
    sql::{Int as _, bytes, one_row, statement},
};

/// Most relations of one kind to one event that [`Store::aggregated`] gives.
pub const AGGREGATED_MAX: usize = 50;

/// How many steps a relation may be away from the event that is asked about.
pub const RECURSION_MAX: i64 = 3;

/// Most relations that [`Store::related_by`] looks at, so that no event of a page makes it slow.
const RELATED_BY_MAX: i64 = 20_000;

/// Where an event that relates to another one stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The number that stands for it.
    pub nid: EventNid,
    /// Its room.
    pub room: RoomNid,
    /// The room's version.
    pub version: RoomVersion,
    /// Who sent it.
    pub sender: UserNid,
    /// Its place in the room's timeline.
    pub room_order: i64,
}

/// Stores how an event relates to another one; nothing if it does not.
pub fn insert(place: Place, body: &EventBody, position: Value) -> Option<Statement> {
    let relation = body.relation()?;
    let parent = event_id_bytes(place.version, &relation.parent)?;
    let annotation = relation.annotation_hash(body.kind(), body.sender());
    let ts_ms = i64::try_from(body.origin_server_ts()).unwrap_or(i64::MAX);
    Some(one_row(
        "-- relations::insert
        INSERT INTO relations (event_nid, room_nid, parent, rel_code, rel_type, kind, sender_nid, position, room_order, ts_ms, annotation)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        [
            place.nid.int(),
            place.room.int(),
            Value::Bytes(parent),
            relation.kind().code().int(),
            bytes(relation.rel_type.as_bytes()),
            bytes(body.kind().as_bytes()),
            place.sender.int(),
            position,
            place.room_order.int(),
            ts_ms.int(),
            annotation.map_or(Value::Null, |hash| bytes(&hash)),
        ],
    ))
}

/// Forgets how an event relates to another one: it was redacted.
pub fn delete(event: EventNid) -> Statement {
    statement(
        "-- relations::delete
        DELETE FROM relations WHERE event_nid = $1",
        [event.int()],
    )
}

/// Whether the same annotation is there already. Only the master asks, before it lets another one pass.
pub async fn is_annotated(db: &Database, annotation: &[u8]) -> Result<bool, StoreError> {
    let sql = "-- relations::is_annotated
        SELECT event_nid FROM relations WHERE annotation = $1 LIMIT 1";
    Ok(db.query_opt(sql, &[bytes(annotation)]).await?.is_some())
}

/// One of the newest relations of a kind to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aggregated {
    /// The event that is pointed to.
    pub parent: EventNid,
    /// How.
    pub kind: RelationKind,
    /// The event that points to it.
    pub child: EventNid,
    /// How many of this kind there are.
    pub count: i64,
    /// Whether the user asked about sent one of them.
    pub participated: bool,
}

/// What is asked of the relations of one event.
#[derive(Clone, Debug)]
pub struct RelationsPage<'a> {
    /// The room of all of them.
    pub room: RoomNid,
    /// The room's version.
    pub version: RoomVersion,
    /// The event that they point to.
    pub parent: &'a EventId,
    /// Only those of one `rel_type`.
    pub rel_type: Option<&'a str>,
    /// Only those of one event type.
    pub kind: Option<&'a str>,
    /// Only those up to this place in the log.
    pub up_to: Sequence,
    /// The place right after the event with this `room_order`, as for [`Store::page`].
    pub from: i64,
    /// To older or newer events.
    pub direction: Direction,
    /// At most so many.
    pub limit: usize,
    /// Whether to give what points to what points to the event too, [`RECURSION_MAX`] steps in all.
    pub recurse: bool,
}

impl Store {
    /// Whether events may point to this one in a way that is summed up in it: if not, nothing has to be read. True for everything older than what this
    /// process has heard of.
    pub fn may_have_relations(&self, event: &StoredEvent) -> bool {
        self.caches()
            .parents
            .may_have_relations(event.body.event_id(), event.position)
    }

    /// Edits, references and thread replies that point to these events, up to a place in the log: of each kind to each event the newest
    /// [`AGGREGATED_MAX`], newest first. Edits are by time, as the specification wants it, others by their place in the timeline. What somebody of
    /// `ignored` sent does not count.
    pub async fn aggregated(
        &self,
        parents: &[EventNid],
        user: UserNid,
        ignored: &[UserNid],
        up_to: Sequence,
    ) -> Result<Vec<Aggregated>, StoreError> {
        let sql = "-- relations::aggregated
            SELECT parent_nid, rel_code, event_nid, total, mine FROM (
                SELECT e.event_nid AS parent_nid, r.rel_code, r.event_nid, r.ts_ms,
                    ROW_NUMBER() OVER (PARTITION BY r.parent, r.rel_code
                        ORDER BY CASE WHEN r.rel_code = 2 THEN r.ts_ms ELSE r.room_order END DESC, r.room_order DESC) AS place,
                    COUNT(*) OVER (PARTITION BY r.parent, r.rel_code) AS total,
                    MAX(CASE WHEN r.sender_nid = $2 THEN 1 ELSE 0 END) OVER (PARTITION BY r.parent, r.rel_code) AS mine
                FROM events e JOIN relations r ON r.parent = e.event_id AND r.room_nid = e.room_nid
                WHERE e.event_nid = ANY($1) AND r.rel_code >= 2 AND r.position <= $3 AND (r.rel_code <> 2 OR r.sender_nid = e.sender_nid)
                    AND NOT r.sender_nid = ANY($5)
            ) AS ranked WHERE place <= $4 ORDER BY parent_nid, rel_code, place";
        let parents = Value::Ints(parents.iter().map(|nid| nid.0).collect());
        let ignored = Value::Ints(ignored.iter().map(|nid| nid.0).collect());
        let limit = i64::try_from(AGGREGATED_MAX).unwrap_or(i64::MAX);
        let rows = self
            .db()
            .query(sql, &[parents, user.int(), up_to.int(), limit.int(), ignored])
            .await?;
        rows.iter().map(read_aggregated).collect()
    }

    /// Which of these events somebody of `senders` has pointed to with one of `rel_types`, up to a place in the log. None of either: any.
    pub async fn related_by(
        &self,
        parents: &[EventNid],
        rel_types: Option<&[String]>,
        senders: Option<&[UserNid]>,
        up_to: Sequence,
    ) -> Result<Vec<EventNid>, StoreError> {
        let sql = "-- relations::related_by
            SELECT DISTINCT e.event_nid, r.rel_type, r.sender_nid
            FROM events e JOIN relations r ON r.parent = e.event_id AND r.room_nid = e.room_nid
            WHERE e.event_nid = ANY($1) AND r.position <= $2 LIMIT $3";
        let nids = Value::Ints(parents.iter().map(|nid| nid.0).collect());
        let mut related = Vec::new();
        for row in self.db().query(sql, &[nids, up_to.int(), RELATED_BY_MAX.int()]).await? {
            let (nid, rel_type, sender) = (EventNid(row.int(0)?), row.bytes(1)?, UserNid(row.int(2)?));
            let is_type = rel_types.is_none_or(|types| types.iter().any(|wanted| wanted.as_bytes() == rel_type));
            if is_type && senders.is_none_or(|senders| senders.contains(&sender)) {
                related.push(nid);
            }
        }
        related.sort_unstable();
        related.dedup();
        Ok(related)
    }

    /// The events that point to one, in the order of the timeline, at most [`EVENTS_PER_PAGE_MAX`].
    pub async fn relations(&self, page: &RelationsPage<'_>) -> Result<Vec<EventNid>, StoreError> {
        let Some(parent) = event_id_bytes(page.version, page.parent) else {
            return Ok(Vec::new());
        };
        let limit = i64::try_from(page.limit.min(EVENTS_PER_PAGE_MAX)).unwrap_or(i64::MAX);
        let mut params = vec![
            Value::Bytes(parent),
            page.room.int(),
            page.up_to.int(),
            page.from.int(),
            limit.int(),
            name(page.rel_type),
            name(page.kind),
        ];
        if page.recurse {
            params.push(RECURSION_MAX.int());
        }
        let rows = self
            .db()
            .query(relations_sql(page.direction, page.recurse), &params)
            .await?;
        rows.iter().map(|row| Ok(EventNid(row.int(0)?))).collect()
    }

    /// The beginnings of a room's threads with the place of each thread's last reply before `before`, newest first. Replies after `up_to` do not count.
    pub async fn threads(
        &self,
        room: RoomNid,
        before: i64,
        up_to: Sequence,
        limit: usize,
    ) -> Result<Vec<(EventNid, i64)>, StoreError> {
        let sql = "-- relations::threads
            SELECT e.event_nid, t.latest FROM (
                SELECT parent, MAX(room_order) AS latest FROM relations
                WHERE room_nid = $1 AND rel_code = 4 AND position <= $2
                GROUP BY parent HAVING MAX(room_order) < $3
            ) AS t JOIN events e ON e.event_id = t.parent
            WHERE e.room_nid = $1 ORDER BY t.latest DESC LIMIT $4";
        let limit = i64::try_from(limit.min(EVENTS_PER_PAGE_MAX)).unwrap_or(i64::MAX);
        let params = [room.int(), up_to.int(), before.int(), limit.int()];
        let rows = self.db().query(sql, &params).await?;
        rows.iter()
            .map(|row| Ok((EventNid(row.int(0)?), row.int(1)?)))
            .collect()
    }
}

fn relations_sql(direction: Direction, recurse: bool) -> &'static str {
    match (direction, recurse) {
        (Direction::Backward, false) => {
            "-- relations::backward
            SELECT event_nid FROM relations
            WHERE parent = $1 AND room_nid = $2 AND position <= $3 AND room_order <= $4
                AND (CAST($6 AS BYTEA) IS NULL OR rel_type = $6) AND (CAST($7 AS BYTEA) IS NULL OR kind = $7)
            ORDER BY room_order DESC LIMIT $5"
        }
        (Direction::Forward, false) => {
            "-- relations::forward
            SELECT event_nid FROM relations
            WHERE parent = $1 AND room_nid = $2 AND position <= $3 AND room_order > $4
                AND (CAST($6 AS BYTEA) IS NULL OR rel_type = $6) AND (CAST($7 AS BYTEA) IS NULL OR kind = $7)
            ORDER BY room_order LIMIT $5"
        }
        // `UNION` without `ALL`: what can be reached in two ways is followed once.
        (Direction::Backward, true) => {
            "-- relations::backward_recursive
            WITH RECURSIVE found (event_nid, room_order, steps) AS (
                SELECT event_nid, room_order, CAST(1 AS BIGINT) FROM relations
                WHERE parent = $1 AND room_nid = $2 AND position <= $3
                    AND (CAST($6 AS BYTEA) IS NULL OR rel_type = $6) AND (CAST($7 AS BYTEA) IS NULL OR kind = $7)
                UNION
                SELECT r.event_nid, r.room_order, found.steps + 1
                FROM found JOIN events e ON e.event_nid = found.event_nid JOIN relations r ON r.parent = e.event_id
                WHERE found.steps < $8 AND r.room_nid = $2 AND r.position <= $3
                    AND (CAST($6 AS BYTEA) IS NULL OR r.rel_type = $6) AND (CAST($7 AS BYTEA) IS NULL OR r.kind = $7)
            )
            SELECT DISTINCT event_nid, room_order FROM found WHERE room_order <= $4 ORDER BY room_order DESC LIMIT $5"
        }
        (Direction::Forward, true) => {
            "-- relations::forward_recursive
            WITH RECURSIVE found (event_nid, room_order, steps) AS (
                SELECT event_nid, room_order, CAST(1 AS BIGINT) FROM relations
                WHERE parent = $1 AND room_nid = $2 AND position <= $3
                    AND (CAST($6 AS BYTEA) IS NULL OR rel_type = $6) AND (CAST($7 AS BYTEA) IS NULL OR kind = $7)
                UNION
                SELECT r.event_nid, r.room_order, found.steps + 1
                FROM found JOIN events e ON e.event_nid = found.event_nid JOIN relations r ON r.parent = e.event_id
                WHERE found.steps < $8 AND r.room_nid = $2 AND r.position <= $3
                    AND (CAST($6 AS BYTEA) IS NULL OR r.rel_type = $6) AND (CAST($7 AS BYTEA) IS NULL OR r.kind = $7)
            )
            SELECT DISTINCT event_nid, room_order FROM found WHERE room_order > $4 ORDER BY room_order LIMIT $5"
        }
    }
}

fn name(name: Option<&str>) -> Value {
    name.map_or(Value::Null, |name| {
        Value::Bytes(Bytes::copy_from_slice(name.as_bytes()))
    })
}

fn read_aggregated(row: &DbRow) -> Result<Aggregated, StoreError> {
    let code = row.int(1)?;
    let kind =
        RelationKind::from_code(code).ok_or_else(|| StoreError::corrupt("relations", format!("rel_code {code}")))?;
    Ok(Aggregated {
        parent: EventNid(row.int(0)?),
        kind,
        child: EventNid(row.int(2)?),
        count: row.int(3)?,
        participated: row.int(4)? == 1,
    })
}
