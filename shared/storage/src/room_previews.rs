//! Table `room_previews`: what users were told of rooms that this server is not in, when they were invited or knocked.

use plexus_core::ids::{RoomNid, UserNid};

use crate::{
    Store, StoreError,
    db::Statement,
    sql::{Int as _, bytes, one_row},
};

/// What a user is told now, a JSON array of stripped events.
pub fn upsert(user: UserNid, room: RoomNid, state: &[u8]) -> Statement {
    one_row(
        "-- room_previews::upsert
        INSERT INTO room_previews (user_nid, room_nid, state) VALUES ($1, $2, $3)
        ON CONFLICT (user_nid, room_nid) DO UPDATE SET state = excluded.state",
        [user.int(), room.int(), bytes(state)],
    )
}

/// He has nothing to do with the room any more.
pub fn delete(user: UserNid, room: RoomNid) -> Statement {
    one_row(
        "-- room_previews::delete
        DELETE FROM room_previews WHERE user_nid = $1 AND room_nid = $2",
        [user.int(), room.int()],
    )
}

impl Store {
    /// What a user was told of a room that this server is not in: a JSON array of stripped events.
    pub async fn room_preview(&self, user: UserNid, room: RoomNid) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "-- room_previews::get
            SELECT state FROM room_previews WHERE user_nid = $1 AND room_nid = $2";
        let row = self.db().query_opt(sql, &[user.int(), room.int()]).await?;
        Ok(row.map(|row| row.bytes(0)).transpose()?.map(|state| state.to_vec()))
    }
}
