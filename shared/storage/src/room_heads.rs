//! Table `room_heads`: where each room stands. The master reads it when it opens the room's lane; others read how many users a room has, now.

use plexus_core::{
    ids::{EventNid, NodeId, RoomNid},
    varint,
};

use crate::{
    Store, StoreError,
    db::{Database, DbRow, Statement, Value},
    sql::{Int as _, bytes, one_row},
};

/// Bytes of an extremity in the column, in the form that was written before [`DIFFERENCES`].
const NID_BYTES: usize = size_of::<i64>();

/// What the column begins with where extremities are written as differences. The other form begins with the highest byte of a number, which is 0.
const DIFFERENCES: u8 = 1;

/// Most rooms that one query asks for.
const ROOMS_PER_QUERY_MAX: usize = 500;

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
    /// How many users are in the room.
    pub joined: i64,
    /// How many users are invited.
    pub invited: i64,
}

/// How many users a room has, and the state that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomSize {
    /// The room.
    pub room: RoomNid,
    /// How many users are in it.
    pub joined: i64,
    /// How many users are invited.
    pub invited: i64,
    /// The room's state.
    pub root: NodeId,
}

/// Writes where a room stands.
pub fn upsert(room: RoomNid, head: &RoomHead) -> Statement {
    let extremities = encode(&head.extremities);
    one_row(
        "-- room_heads::upsert
        INSERT INTO room_heads (room_nid, extremities, room_order, depth, room_root, next_node, joined, invited)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (room_nid) DO UPDATE SET extremities = excluded.extremities, room_order = excluded.room_order,
            depth = excluded.depth, room_root = excluded.room_root, next_node = excluded.next_node,
            joined = excluded.joined, invited = excluded.invited",
        [
            room.int(),
            bytes(&extremities),
            head.room_order.int(),
            head.depth.int(),
            head.room_root.int(),
            head.next_node.int(),
            head.joined.int(),
            head.invited.int(),
        ],
    )
}

/// Says that no new node of a room's states may have a number before this one.
pub fn reserve_nodes(room: RoomNid, next: NodeId) -> Statement {
    one_row(
        "-- room_heads::reserve_nodes
        UPDATE room_heads SET next_node = $2 WHERE room_nid = $1",
        [room.int(), next.int()],
    )
}

/// Where a room stands; none if it has no events. That of a deleted room has no extremities.
pub async fn load(db: &Database, room: RoomNid) -> Result<Option<RoomHead>, StoreError> {
    let sql = "-- room_heads::load
        SELECT extremities, room_order, depth, room_root, next_node, joined, invited FROM room_heads WHERE room_nid = $1";
    let Some(row) = db.query_opt(sql, &[room.int()]).await? else {
        return Ok(None);
    };
    let extremities = decode(&row.bytes(0)?);
    let damaged = || StoreError::corrupt("room_heads", format!("extremities of room {}", room.0));
    Ok(Some(RoomHead {
        extremities: extremities.ok_or_else(damaged)?,
        room_order: row.int(1)?,
        depth: row.int(2)?,
        room_root: NodeId(row.int(3)?),
        next_node: NodeId(row.int(4)?),
        joined: row.int(5)?,
        invited: row.int(6)?,
    }))
}

/// Extremities in ascending order, each as how much it is greater than the one before: a thousand that came together take a thousand bytes. PostgreSQL
/// moves a value of more than 2,000 out of its row, which costs a send more than all the rest.
fn encode(extremities: &[EventNid]) -> Vec<u8> {
    let mut numbers: Vec<u64> = extremities.iter().map(|event| event.0.cast_unsigned()).collect();
    numbers.sort_unstable();
    let mut encoded = vec![DIFFERENCES];
    let mut before = 0;
    for number in numbers {
        varint::put(&mut encoded, number - before);
        before = number;
    }
    encoded
}

fn decode(encoded: &[u8]) -> Option<Vec<EventNid>> {
    let Some((&DIFFERENCES, mut rest)) = encoded.split_first() else {
        let (numbers, rest) = encoded.as_chunks::<NID_BYTES>();
        let numbers = numbers.iter().map(|number| EventNid(i64::from_be_bytes(*number)));
        return rest.is_empty().then(|| numbers.collect());
    };
    let (mut extremities, mut number) = (Vec::new(), 0_u64);
    while !rest.is_empty() {
        number = number.checked_add(varint::take(&mut rest).ok()?)?;
        extremities.push(EventNid(i64::try_from(number).ok()?));
    }
    Some(extremities)
}

impl Store {
    /// How many users each of these rooms has now, which may be later than the rows this process has applied. Rooms without events are left out.
    pub async fn room_sizes(&self, rooms: &[RoomNid]) -> Result<Vec<RoomSize>, StoreError> {
        let sql = "-- room_heads::room_sizes
            SELECT room_nid, joined, invited, room_root FROM room_heads WHERE room_nid = ANY($1)";
        let mut sizes = Vec::with_capacity(rooms.len());
        for chunk in rooms.chunks(ROOMS_PER_QUERY_MAX) {
            let asked = Value::Ints(chunk.iter().map(|room| room.0).collect());
            for row in self.db().query(sql, &[asked]).await? {
                sizes.push(read_size(&row)?);
            }
        }
        Ok(sizes)
    }
}

/// A row of room, joined, invited and root.
pub(crate) fn read_size(row: &DbRow) -> Result<RoomSize, StoreError> {
    Ok(RoomSize {
        room: RoomNid(row.int(0)?),
        joined: row.int(1)?,
        invited: row.int(2)?,
        root: NodeId(row.int(3)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremities_are_read_as_they_were_written() {
        for numbers in [vec![], vec![1], vec![7, 1 << 40, i64::MAX], (5_000..6_000).collect()] {
            let extremities: Vec<EventNid> = numbers.iter().copied().map(EventNid).collect();
            let encoded = encode(&extremities);
            assert!(encoded.len() < 1_100, "{} bytes", encoded.len());
            assert_eq!(decode(&encoded), Some(extremities.clone()));
            // As they were written once.
            let fixed: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
            assert_eq!(decode(&fixed), Some(extremities));
        }
        for damaged in [&[0, 0, 1][..], &[DIFFERENCES, 0x80], &[DIFFERENCES, 0xFF, 0xFF]] {
            assert_eq!(decode(damaged), None, "{damaged:?}");
        }
    }
}
