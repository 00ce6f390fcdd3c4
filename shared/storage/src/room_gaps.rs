//! Table `room_gaps`: where history of a room is missing.

use plexus_core::ids::{EventNid, RoomNid};

use crate::{
    Store, StoreError,
    db::{Database, Statement, Value},
    sql::{Int as _, one_row, statement},
};

/// Places in a timeline that are left free right below an event with a gap before it, for what is fetched later. The place of such an event is a multiple
/// of it, and no other event's is.
pub const REGION_PLACES: i64 = 1 << 32;

/// Gaps of one room that are known at once. History beyond is not looked for.
pub const GAPS_MAX: usize = 1_000;

/// An event before which history is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomGap {
    /// The event.
    pub event: EventNid,
    /// Its place in the timeline.
    pub room_order: i64,
    /// The place of the event that came live, below which what is fetched gets its place.
    pub region: i64,
}

/// Whether the event at this place in a timeline came live although some of what was before it had not come.
pub fn begins_after_gap(room_order: i64) -> bool {
    room_order > 0 && room_order % REGION_PLACES == 0
}

/// The place of such an event, in a timeline that ended at another place.
pub fn place_after_gap(room_order: i64) -> i64 {
    (room_order / REGION_PLACES + 2) * REGION_PLACES
}

/// Notes that history is missing before an event.
pub fn insert(room: RoomNid, event: EventNid, region: i64) -> Statement {
    one_row(
        "-- room_gaps::insert
        INSERT INTO room_gaps (room_nid, event_nid, region) VALUES ($1, $2, $3)",
        [room.int(), event.int(), region.int()],
    )
}

/// All that comes right before these events is here now, or they are gone themselves.
pub fn delete(room: RoomNid, events: &[EventNid]) -> Statement {
    statement(
        "-- room_gaps::delete
        DELETE FROM room_gaps WHERE room_nid = $1 AND event_nid = ANY($2)",
        [room.int(), Value::Ints(events.iter().map(|event| event.0).collect())],
    )
}

/// The gaps of a room, newest first in its timeline.
pub async fn load(db: &Database, room: RoomNid) -> Result<Vec<RoomGap>, StoreError> {
    let sql = "-- room_gaps::load
        SELECT g.event_nid, e.room_order, g.region FROM room_gaps g JOIN events e ON e.event_nid = g.event_nid
        WHERE g.room_nid = $1 AND e.room_order IS NOT NULL ORDER BY e.room_order DESC LIMIT $2";
    let limit = i64::try_from(GAPS_MAX).unwrap_or(i64::MAX);
    let rows = db.query(sql, &[room.int(), limit.int()]).await?;
    rows.iter()
        .map(|row| {
            Ok(RoomGap {
                event: EventNid(row.int(0)?),
                room_order: row.int(1)?,
                region: row.int(2)?,
            })
        })
        .collect()
}

/// The first place of a region that is taken; that of the event that ends it at the latest.
pub async fn lowest(db: &Database, room: RoomNid, region: i64) -> Result<i64, StoreError> {
    let sql = "-- room_gaps::lowest
        SELECT room_order FROM events WHERE room_nid = $1 AND room_order > $2 AND room_order < $3 ORDER BY room_order LIMIT 1";
    let floor = region.saturating_sub(REGION_PLACES);
    let row = db.query_opt(sql, &[room.int(), floor.int(), region.int()]).await?;
    row.map_or(Ok(region), |row| Ok(row.int(0)?))
}

impl Store {
    /// Where history of a room is missing, newest first. May be newer than the rows this process has applied.
    pub async fn room_gaps(&self, room: RoomNid) -> Result<Vec<RoomGap>, StoreError> {
        load(self.db(), room).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_below_an_event_after_a_gap_and_only_it_tells_of_one() {
        for order in [
            0,
            1,
            5,
            REGION_PLACES - 1,
            REGION_PLACES,
            REGION_PLACES + 1,
            7 * REGION_PLACES + 3,
        ] {
            let place = place_after_gap(order);
            assert!(begins_after_gap(place) && !begins_after_gap(place + 1));
            assert!(place - order > REGION_PLACES, "{order}");
        }
        assert!(!begins_after_gap(0) && !begins_after_gap(-REGION_PLACES));
    }
}
