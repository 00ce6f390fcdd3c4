//! Table `room_heads`: what the master needs to go on with a room. Only the master reads it, when it opens the room's lane.

use plexus_core::ids::{EventNid, NodeId, RoomNid};

use crate::{
    StoreError,
    db::{Database, Statement},
    sql::{Int as _, bytes, one_row},
};

/// Bytes of an extremity in the column.
const NID_BYTES: usize = size_of::<i64>();

/// Where a room stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomHead {
    /// The room's newest events: those that no event follows.
    pub extremities: Vec<EventNid>,
    /// The `room_order` of the last event in the timeline.
    pub room_order: i64,
    /// The greatest depth among the extremities.
    pub depth: i64,
    /// The room's state.
    pub room_root: NodeId,
    /// The first id that no node of the room's state has had.
    pub next_node: NodeId,
}

/// Writes where a room stands.
pub fn upsert(room: RoomNid, head: &RoomHead) -> Statement {
    let extremities: Vec<u8> = head
        .extremities
        .iter()
        .flat_map(|event| event.0.to_be_bytes())
        .collect();
    one_row(
        "-- room_heads::upsert
        INSERT INTO room_heads (room_nid, extremities, room_order, depth, room_root, next_node) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (room_nid) DO UPDATE SET extremities = excluded.extremities, room_order = excluded.room_order,
            depth = excluded.depth, room_root = excluded.room_root, next_node = excluded.next_node",
        [
            room.int(),
            bytes(&extremities),
            head.room_order.int(),
            head.depth.int(),
            head.room_root.int(),
            head.next_node.int(),
        ],
    )
}

/// Where a room stands; none if it has no events.
pub async fn load(db: &Database, room: RoomNid) -> Result<Option<RoomHead>, StoreError> {
    let sql = "-- room_heads::load
        SELECT extremities, room_order, depth, room_root, next_node FROM room_heads WHERE room_nid = $1";
    let Some(row) = db.query_opt(sql, &[room.int()]).await? else {
        return Ok(None);
    };
    let extremities = row.bytes(0)?;
    let (nids, rest) = extremities.as_chunks::<NID_BYTES>();
    if !rest.is_empty() {
        return Err(StoreError::corrupt(
            "room_heads",
            format!("extremities of room {}", room.0),
        ));
    }
    Ok(Some(RoomHead {
        extremities: nids.iter().map(|nid| EventNid(i64::from_be_bytes(*nid))).collect(),
        room_order: row.int(1)?,
        depth: row.int(2)?,
        room_root: NodeId(row.int(3)?),
        next_node: NodeId(row.int(4)?),
    }))
}
