//! Table `rooms`: interned room ids, and the version of each. Neither ever changes.

use std::sync::Arc;

use plexus_core::{ids::RoomNid, room_version::RoomVersion};
use ruma::{OwnedRoomId, RoomId};

use crate::{
    Store, StoreError,
    cache::{Cache, CacheUse, bounded, usage},
    db::{DbRow, Statement},
    sql::{Int as _, one_row, text},
};

/// Bounds each direction of the cache.
const CACHE_BYTES: u64 = 8 << 20;

/// A room that this server knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomInfo {
    /// The number that stands for it.
    pub nid: RoomNid,
    /// Its id.
    pub id: OwnedRoomId,
    /// Its version.
    pub version: RoomVersion,
}

/// Interns a room.
pub fn insert(room: &RoomInfo) -> Statement {
    one_row(
        "-- rooms::insert
        INSERT INTO rooms (room_nid, room_id, version) VALUES ($1, $2, $3)",
        [room.nid.int(), text(room.id.as_str()), version_code(room.version).int()],
    )
}

/// The number the database holds for a version: its place among all versions, from 1. New versions are added at the end.
fn version_code(version: RoomVersion) -> i64 {
    RoomVersion::ALL
        .into_iter()
        .zip(1..)
        .find(|(known, _)| *known == version)
        .map_or(0, |(_, code)| code)
}

/// What has been read of the table.
#[derive(Debug)]
pub(crate) struct Rooms {
    by_id: Cache<OwnedRoomId, Arc<RoomInfo>>,
    by_nid: Cache<RoomNid, Arc<RoomInfo>>,
}

impl Rooms {
    pub(crate) fn new() -> Self {
        Self {
            by_id: bounded(CACHE_BYTES, 120, |_, room| weight(room)),
            by_nid: bounded(CACHE_BYTES, 120, |_, room| weight(room)),
        }
    }

    /// A room that has been read before.
    pub(crate) fn kept(&self, room: RoomNid) -> Option<Arc<RoomInfo>> {
        self.by_nid.get(&room)
    }

    pub(crate) fn usage(&self) -> [CacheUse; 2] {
        [usage("room_ids", &self.by_id), usage("rooms", &self.by_nid)]
    }

    fn keep(&self, row: &DbRow) -> Result<Arc<RoomInfo>, StoreError> {
        let room = Arc::new(read(row)?);
        self.by_id.insert(room.id.clone(), Arc::clone(&room));
        self.by_nid.insert(room.nid, Arc::clone(&room));
        Ok(room)
    }
}

/// The id stands in both directions, so it is counted for each.
fn weight(room: &RoomInfo) -> u64 {
    (size_of::<RoomInfo>() + 2 * room.id.as_str().len()) as u64
}

impl Store {
    /// The room with this id; none if nobody here ever heard of it.
    pub async fn room(&self, room_id: &RoomId) -> Result<Option<Arc<RoomInfo>>, StoreError> {
        if let Some(room) = self.caches().rooms.by_id.get(room_id) {
            return Ok(Some(room));
        }
        let sql = "-- rooms::room
            SELECT room_nid, room_id, version FROM rooms WHERE room_id = $1";
        let row = self.db().query_opt(sql, &[text(room_id.as_str())]).await?;
        row.as_ref().map(|row| self.caches().rooms.keep(row)).transpose()
    }

    /// The room with this number.
    pub async fn room_by_nid(&self, room: RoomNid) -> Result<Option<Arc<RoomInfo>>, StoreError> {
        if let Some(room) = self.caches().rooms.kept(room) {
            return Ok(Some(room));
        }
        let sql = "-- rooms::room_by_nid
            SELECT room_nid, room_id, version FROM rooms WHERE room_nid = $1";
        let row = self.db().query_opt(sql, &[room.int()]).await?;
        row.as_ref().map(|row| self.caches().rooms.keep(row)).transpose()
    }
}

fn read(row: &DbRow) -> Result<RoomInfo, StoreError> {
    let code = row.int(2)?;
    let version = RoomVersion::ALL
        .into_iter()
        .find(|version| version_code(*version) == code)
        .ok_or_else(|| StoreError::corrupt("rooms", format!("version {code}")))?;
    let id = RoomId::parse(row.text(1)?).map_err(|error| StoreError::corrupt("rooms", error.to_string()))?;
    Ok(RoomInfo {
        nid: RoomNid(row.int(0)?),
        id,
        version,
    })
}
