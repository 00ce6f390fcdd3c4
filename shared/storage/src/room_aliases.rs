//! Table `room_aliases`: the room aliases of this server.
//!
//! Not cached: an alias is looked up when somebody joins by it, which is rare beside everything else that is read of a room.

use plexus_core::ids::{RoomNid, UserNid};
use ruma::{OwnedRoomAliasId, RoomAliasId};

use crate::{
    Store, StoreError,
    db::{DbRow, Statement},
    sql::{Int as _, one_row, statement, text},
};

/// Most aliases that are listed of a room.
const ALIASES_MAX: i64 = 1_000;

/// What an alias stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomAlias {
    /// The room it leads to.
    pub room: RoomNid,
    /// Who made it.
    pub creator: UserNid,
}

/// Makes an alias that is not there yet.
pub fn insert(alias: &RoomAliasId, room: RoomNid, creator: UserNid) -> Statement {
    one_row(
        "-- room_aliases::insert
        INSERT INTO room_aliases (alias, room_nid, creator_nid) VALUES ($1, $2, $3)",
        [text(alias.as_str()), room.int(), creator.int()],
    )
}

/// Takes an alias away.
pub fn delete(alias: &RoomAliasId) -> Statement {
    one_row(
        "-- room_aliases::delete
        DELETE FROM room_aliases WHERE alias = $1",
        [text(alias.as_str())],
    )
}

/// Makes every alias of one room lead to another.
pub fn move_all(from: RoomNid, to: RoomNid) -> Statement {
    statement(
        "-- room_aliases::move_all
        UPDATE room_aliases SET room_nid = $2 WHERE room_nid = $1",
        [from.int(), to.int()],
    )
}

impl Store {
    /// What an alias stands for; none if there is no such alias.
    pub async fn room_alias(&self, alias: &RoomAliasId) -> Result<Option<RoomAlias>, StoreError> {
        let sql = "-- room_aliases::room_alias
            SELECT room_nid, creator_nid FROM room_aliases WHERE alias = $1";
        let row = self.db().query_opt(sql, &[text(alias.as_str())]).await?;
        let read = |row: DbRow| -> Result<RoomAlias, StoreError> {
            Ok(RoomAlias {
                room: RoomNid(row.int(0)?),
                creator: UserNid(row.int(1)?),
            })
        };
        row.map(read).transpose()
    }

    /// The aliases of a room, in order.
    pub async fn room_aliases(&self, room: RoomNid) -> Result<Vec<OwnedRoomAliasId>, StoreError> {
        let sql = "-- room_aliases::room_aliases
            SELECT alias FROM room_aliases WHERE room_nid = $1 ORDER BY alias LIMIT $2";
        let rows = self.db().query(sql, &[room.int(), ALIASES_MAX.int()]).await?;
        let read = |row: &DbRow| {
            let alias = row.text(0)?;
            RoomAliasId::parse(alias).map_err(|error| StoreError::corrupt("room_aliases", error.to_string()))
        };
        rows.iter().map(read).collect()
    }
}
