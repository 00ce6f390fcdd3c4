//! Collecting nodes of rooms' states that nothing refers to any more: what refers to nodes, and the nodes, a part at a time.

use bytes::Bytes;
use plexus_core::{
    ids::{EventNid, NodeId, RoomNid},
    position::Sequence,
    state::Node,
};

use crate::{
    StoreError,
    db::{Database, Statement, Value},
    sql::{Int as _, statement},
};

/// The states that an event names.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// The event's place in the log.
    pub position: Sequence,
    /// Its number.
    pub event: EventNid,
    /// The roots; an empty state is among them as such.
    pub roots: [NodeId; 3],
}

/// The states that a room's events name, behind an event given by its place and number.
pub async fn named_after(
    db: &Database,
    room: RoomNid,
    (position, event): (Sequence, EventNid),
    limit: i64,
) -> Result<Vec<Named>, StoreError> {
    let sql = "-- collect::named_after
        SELECT position, event_nid, state_before, COALESCE(state_after, room_root), room_root FROM events
        WHERE room_nid = $1 AND (position, event_nid) > ($2, $3) ORDER BY position, event_nid LIMIT $4";
    let rows = db
        .query(sql, &[room.int(), position.int(), event.int(), limit.int()])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Named {
                position: row.int(0)?,
                event: EventNid(row.int(1)?),
                roots: [NodeId(row.int(2)?), NodeId(row.int(3)?), NodeId(row.int(4)?)],
            })
        })
        .collect()
}

/// A node as it is stored.
#[derive(Clone, Debug)]
pub struct StoredNode {
    /// Its id.
    pub id: NodeId,
    /// What its bytes should sum up to.
    pub checksum: i64,
    /// Its bytes.
    pub body: Bytes,
}

/// The newest nodes of a room's states that are older than one, newest first.
pub async fn nodes_below(
    db: &Database,
    room: RoomNid,
    below: NodeId,
    limit: i64,
) -> Result<Vec<StoredNode>, StoreError> {
    let sql = "-- collect::nodes_below
        SELECT node_id, checksum, body FROM state_nodes WHERE room_nid = $1 AND node_id < $2 ORDER BY node_id DESC LIMIT $3";
    let rows = db.query(sql, &[room.int(), below.int(), limit.int()]).await?;
    rows.iter()
        .map(|row| {
            Ok(StoredNode {
                id: NodeId(row.int(0)?),
                checksum: row.int(1)?,
                body: row.bytes(2)?,
            })
        })
        .collect()
}

/// What a node refers to; none if it is damaged.
pub fn children(stored: &StoredNode) -> Option<Vec<NodeId>> {
    let is_intact = Node::checksum(&stored.body) == stored.checksum;
    let node = Node::decode(&stored.body).ok().filter(|_| is_intact)?;
    let children: Vec<NodeId> = node.children().iter().map(|child| child.node).collect();
    // A child has its number before its parent has.
    children.iter().all(|child| *child < stored.id).then_some(children)
}

/// Deletes nodes.
pub fn delete(room: RoomNid, nodes: &[NodeId]) -> Statement {
    statement(
        "-- collect::delete
        DELETE FROM state_nodes WHERE room_nid = $1 AND node_id = ANY($2)",
        [room.int(), Value::Ints(nodes.iter().map(|node| node.0).collect())],
    )
}
