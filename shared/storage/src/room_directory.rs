//! Columns of `room_heads`: the rooms that the directory lists, with how many users each has. An index keeps them in the directory's order.

use plexus_core::ids::RoomNid;

use crate::{
    Store, StoreError,
    db::{Statement, Value},
    room_heads::{RoomSize, read_size},
    sql::{Int as _, one_row},
};

/// Most rooms of one page.
pub const PAGE_MAX: i64 = 200;

/// Most rooms that are counted.
const COUNTED_MAX: i64 = 100_000;

/// A place in the directory, which lists rooms with more members first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryPlace {
    /// How many users were in the room.
    pub joined: i64,
    /// The room.
    pub room: RoomNid,
}

/// Lists a room, which has a head already, or lists it no longer.
pub fn update(room: RoomNid, listed: bool) -> Statement {
    one_row(
        "-- room_directory::update
        UPDATE room_heads SET listed = $2 WHERE room_nid = $1",
        [room.int(), Value::Bool(listed)],
    )
}

impl Store {
    /// Whether the directory lists a room.
    pub async fn is_listed(&self, room: RoomNid) -> Result<bool, StoreError> {
        let sql = "-- room_directory::is_listed
            SELECT listed FROM room_heads WHERE room_nid = $1";
        let row = self.db().query_opt(sql, &[room.int()]).await?;
        Ok(row.map(|row| row.bool(0)).transpose()?.unwrap_or_default())
    }

    /// How many rooms the directory lists, about: beyond [`COUNTED_MAX`] nobody counts.
    pub async fn directory_size(&self) -> Result<i64, StoreError> {
        let sql = "-- room_directory::directory_size
            SELECT COUNT(*) FROM (SELECT room_nid FROM room_heads WHERE listed AND joined > 0 LIMIT $1) AS listed_rooms";
        let row = self.db().query_opt(sql, &[COUNTED_MAX.int()]).await?;
        Ok(row.map(|row| row.int(0)).transpose()?.unwrap_or_default())
    }

    /// The rooms listed behind a place, or from the first one on: those with more members first, and none without members.
    pub async fn directory_after(&self, place: Option<DirectoryPlace>) -> Result<Vec<RoomSize>, StoreError> {
        let sql = "-- room_directory::directory_after
            SELECT room_nid, joined, invited, room_root FROM room_heads
            WHERE listed AND joined > 0 AND joined <= $1 AND (joined < $1 OR room_nid > $2) ORDER BY joined DESC, room_nid LIMIT $3";
        let place = place.unwrap_or(DirectoryPlace {
            joined: i64::MAX,
            room: RoomNid(0),
        });
        self.directory_page(sql, place).await
    }

    /// The rooms listed ahead of a place, the nearest one first.
    pub async fn directory_before(&self, place: DirectoryPlace) -> Result<Vec<RoomSize>, StoreError> {
        let sql = "-- room_directory::directory_before
            SELECT room_nid, joined, invited, room_root FROM room_heads
            WHERE listed AND joined > 0 AND joined >= $1 AND (joined > $1 OR room_nid < $2) ORDER BY joined, room_nid DESC LIMIT $3";
        self.directory_page(sql, place).await
    }

    async fn directory_page(&self, sql: &'static str, place: DirectoryPlace) -> Result<Vec<RoomSize>, StoreError> {
        let params = [place.joined.int(), place.room.int(), PAGE_MAX.int()];
        self.db().query(sql, &params).await?.iter().map(read_size).collect()
    }
}
