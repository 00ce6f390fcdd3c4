//! Table `highlights`: the events that highlight a room for one user, or for everybody. Sparse: most messages have no row, and none has one for each member.

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::Sequence,
};

use crate::{
    Store, StoreError,
    db::{Statement, Value},
    sql::{Int as _, one_row},
};

/// Most highlights that are counted for one user; he is not told of more.
const COUNTED_MAX: i64 = 10_000;

/// What the column holds for an event that highlights for everybody.
const EVERYBODY: UserNid = UserNid(0);

/// Remembers that the event at `position` highlights the room, for one user or for everybody.
pub fn insert(room: RoomNid, user: Option<UserNid>, position: Value, notifies: bool) -> Statement {
    one_row(
        "-- highlights::insert
        INSERT INTO highlights (room_nid, user_nid, position, notifies) VALUES ($1, $2, $3, $4)",
        [
            room.int(),
            user.unwrap_or(EVERYBODY).int(),
            position,
            Value::Bool(notifies),
        ],
    )
}

/// Highlights of a stretch of a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Highlights {
    /// How many events highlight the room for the user.
    pub highlighting: i64,
    /// How many of them notify him and not everybody.
    pub notifying: i64,
}

impl Store {
    /// What highlights a room for a user in (after, `up_to`].
    pub async fn highlights(
        &self,
        room: RoomNid,
        user: UserNid,
        after: Sequence,
        up_to: Sequence,
    ) -> Result<Highlights, StoreError> {
        let mut found = Highlights::default();
        let sql = "-- highlights::highlights
            SELECT notifies FROM highlights WHERE room_nid = $1 AND user_nid IN ($2, $3) AND position > $4 AND position <= $5 LIMIT $6";
        let params = [
            room.int(),
            EVERYBODY.int(),
            user.int(),
            after.int(),
            up_to.int(),
            COUNTED_MAX.int(),
        ];
        for row in self.db().query(sql, &params).await? {
            found.highlighting += 1;
            found.notifying += i64::from(row.bool(0)?);
        }
        Ok(found)
    }
}
