//! Table `partial_rooms`: rooms that were joined before all of their state was here.

use std::{collections::HashMap, sync::Arc};

use plexus_core::{
    ids::{EventNid, RoomNid},
    position::Sequence,
};
use ruma::OwnedServerName;

use crate::{
    Store, StoreError,
    cache::{Changing, bounded},
    db::{Database, Statement, Value},
    sql::{Int as _, one_row, statement, text},
};

/// Rooms that are looked at: those that are not complete, and of the others those that were completed last.
const ROOMS_MAX: i64 = 10_000;

/// The place in the log of what is still to come.
const NOT_YET: Sequence = Sequence::MAX;

/// Bounds the one entry of the cache: the list is bounded by itself.
const CACHE_BYTES: u64 = 1 << 20;

/// A room whose state is not all here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialRoom {
    /// The room.
    pub room: RoomNid,
    /// The event whose state before it is not all here.
    pub event: EventNid,
    /// The servers that were in the room then.
    pub servers: Vec<OwnedServerName>,
}

/// Rooms that were joined so, and where in the log all of their state was here; none if it is not.
pub type PartialRooms = HashMap<RoomNid, Option<Sequence>>;

/// The cache.
pub(crate) type PartialCache = Changing<(), Arc<PartialRooms>>;

pub(crate) fn cache() -> PartialCache {
    Changing::new(bounded(CACHE_BYTES, 1_000, |(), _| 1_000))
}

/// A room is joined with a part of its state.
pub fn insert(room: &PartialRoom) -> Statement {
    let servers = serde_json::to_string(&room.servers).unwrap_or_default();
    one_row(
        "-- partial_rooms::insert
        INSERT INTO partial_rooms (room_nid, event_nid, servers, completed) VALUES ($1, $2, $3, $4)
        ON CONFLICT (room_nid) DO UPDATE SET event_nid = excluded.event_nid, servers = excluded.servers, completed = excluded.completed",
        [room.room.int(), room.event.int(), text(&servers), NOT_YET.int()],
    )
}

/// All of a room's state is here, from this place in the log on.
pub fn complete(room: RoomNid, position: Value) -> Statement {
    one_row(
        "-- partial_rooms::complete
        UPDATE partial_rooms SET completed = $2 WHERE room_nid = $1",
        [room.int(), position],
    )
}

/// The room is gone.
pub fn delete(room: RoomNid) -> Statement {
    statement(
        "-- partial_rooms::delete
        DELETE FROM partial_rooms WHERE room_nid = $1",
        [room.int()],
    )
}

/// What is missing of a room's state; none if nothing is.
pub async fn load(db: &Database, room: RoomNid) -> Result<Option<PartialRoom>, StoreError> {
    let sql = "-- partial_rooms::load
        SELECT event_nid, servers FROM partial_rooms WHERE room_nid = $1 AND completed = $2";
    let Some(row) = db.query_opt(sql, &[room.int(), NOT_YET.int()]).await? else {
        return Ok(None);
    };
    let servers = serde_json::from_str(row.text(1)?);
    Ok(Some(PartialRoom {
        room,
        event: EventNid(row.int(0)?),
        servers: servers.map_err(|error| StoreError::corrupt("partial_rooms", error.to_string()))?,
    }))
}

impl Store {
    /// Every room that was joined with a part of its state.
    pub async fn partial_rooms(&self) -> Result<Arc<PartialRooms>, StoreError> {
        let load = || async {
            let sql = "-- partial_rooms::partial_rooms
                SELECT room_nid, completed FROM partial_rooms ORDER BY completed DESC LIMIT $1";
            let mut rooms = PartialRooms::new();
            for row in self.db().query(sql, &[ROOMS_MAX.int()]).await? {
                let completed = row.int(1)?;
                rooms.insert(RoomNid(row.int(0)?), (completed != NOT_YET).then_some(completed));
            }
            Ok(Arc::new(rooms))
        };
        self.caches().partial_rooms.get_or_load(&(), load).await
    }

    /// What is missing of a room's state; none if nothing is.
    pub async fn partial_room(&self, room: RoomNid) -> Result<Option<PartialRoom>, StoreError> {
        match self.partial_rooms().await?.get(&room) {
            Some(None) => load(self.db(), room).await,
            Some(Some(_)) | None => Ok(None),
        }
    }
}
