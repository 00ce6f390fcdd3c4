//! Table `forgotten_rooms`: rooms that users have forgotten. Read with the memberships it is about.

use plexus_core::ids::{RoomNid, UserNid};

use crate::{
    db::{Statement, Value},
    sql::{Int as _, one_row},
};

/// Forgets what a user was to a room before `position`.
pub fn upsert(user: UserNid, room: RoomNid, position: Value) -> Statement {
    one_row(
        "-- forgotten_rooms::upsert
        INSERT INTO forgotten_rooms (user_nid, room_nid, position) VALUES ($1, $2, $3)
        ON CONFLICT (user_nid, room_nid) DO UPDATE SET position = excluded.position",
        [user.int(), room.int(), position],
    )
}
