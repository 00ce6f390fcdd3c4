//! Table `state_completions`: which processes fetch the rest of the state of rooms that were joined with a part of it.

use plexus_core::ids::RoomNid;

use crate::{
    Store, StoreError,
    sql::{Int as _, statement},
};

impl Store {
    /// Takes a room on until a time, unless somebody else has it now, or it has changed hands since `held_until_ms`.
    pub async fn take_completion(&self, room: RoomNid, held_until_ms: i64, until_ms: i64) -> Result<bool, StoreError> {
        let sql = "-- state_completions::take
            INSERT INTO state_completions (room_nid, until_ms) VALUES ($1, $3)
            ON CONFLICT (room_nid) DO UPDATE SET until_ms = excluded.until_ms WHERE state_completions.until_ms <= $2";
        let params = [room.int(), held_until_ms.int(), until_ms.int()];
        Ok(self.db().execute(statement(sql, params)).await? > 0)
    }

    /// The room is complete.
    pub async fn end_completion(&self, room: RoomNid) -> Result<(), StoreError> {
        let sql = "-- state_completions::end
            DELETE FROM state_completions WHERE room_nid = $1";
        self.db().execute(statement(sql, [room.int()])).await?;
        Ok(())
    }
}
