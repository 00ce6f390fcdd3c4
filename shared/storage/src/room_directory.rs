//! Table `room_directory`: the rooms that the directory lists, read together with how many users each has.

use plexus_core::ids::RoomNid;

use crate::{
    Store, StoreError,
    db::Statement,
    room_heads::{RoomSize, read_size},
    sql::{Int as _, statement},
};

/// Most rooms of one page.
pub const PAGE_MAX: i64 = 200;

/// A place in the directory, which lists rooms with more members first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryPlace {
    /// How many users were in the room.
    pub joined: i64,
    /// The room.
    pub room: RoomNid,
}

/// Lists a room.
pub fn insert(room: RoomNid) -> Statement {
    statement(
        "-- room_directory::insert
        INSERT INTO room_directory (room_nid) VALUES ($1) ON CONFLICT (room_nid) DO NOTHING",
        [room.int()],
    )
}

/// Lists a room no longer.
pub fn delete(room: RoomNid) -> Statement {
    statement(
        "-- room_directory::delete
        DELETE FROM room_directory WHERE room_nid = $1",
        [room.int()],
    )
}

impl Store {
    /// Whether the directory lists a room.
    pub async fn is_listed(&self, room: RoomNid) -> Result<bool, StoreError> {
        let sql = "-- room_directory::is_listed
            SELECT 1 FROM room_directory WHERE room_nid = $1";
        Ok(self.db().query_opt(sql, &[room.int()]).await?.is_some())
    }

    /// How many rooms the directory lists.
    pub async fn directory_size(&self) -> Result<i64, StoreError> {
        let sql = "-- room_directory::directory_size
            SELECT COUNT(*) FROM room_directory";
        let row = self.db().query_opt(sql, &[]).await?;
        Ok(row.map(|row| row.int(0)).transpose()?.unwrap_or_default())
    }

    /// The rooms listed behind a place, or from the first one on: those with more members first, and none without members.
    pub async fn directory_after(&self, place: Option<DirectoryPlace>) -> Result<Vec<RoomSize>, StoreError> {
        let sql = "-- room_directory::directory_after
            SELECT h.room_nid, h.joined, h.invited, h.room_root FROM room_directory d JOIN room_heads h ON h.room_nid = d.room_nid
            WHERE h.joined > 0 AND (h.joined < $1 OR h.joined = $1 AND h.room_nid > $2) ORDER BY h.joined DESC, h.room_nid LIMIT $3";
        let place = place.unwrap_or(DirectoryPlace {
            joined: i64::MAX,
            room: RoomNid(0),
        });
        self.directory_page(sql, place).await
    }

    /// The rooms listed ahead of a place, the nearest one first.
    pub async fn directory_before(&self, place: DirectoryPlace) -> Result<Vec<RoomSize>, StoreError> {
        let sql = "-- room_directory::directory_before
            SELECT h.room_nid, h.joined, h.invited, h.room_root FROM room_directory d JOIN room_heads h ON h.room_nid = d.room_nid
            WHERE h.joined > 0 AND (h.joined > $1 OR h.joined = $1 AND h.room_nid < $2) ORDER BY h.joined, h.room_nid DESC LIMIT $3";
        self.directory_page(sql, place).await
    }

    async fn directory_page(&self, sql: &'static str, place: DirectoryPlace) -> Result<Vec<RoomSize>, StoreError> {
        let params = [place.joined.int(), place.room.int(), PAGE_MAX.int()];
        self.db().query(sql, &params).await?.iter().map(read_size).collect()
    }
}
