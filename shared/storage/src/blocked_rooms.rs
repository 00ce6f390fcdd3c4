//! Table `blocked_rooms`: rooms that no local user may join. Asked only when somebody is about to come into a room, so nothing is kept of it.

use plexus_core::ids::UserNid;
use ruma::{OwnedUserId, RoomId, UserId};

use crate::{
    StoreError,
    db::{Database, Statement},
    sql::{Int as _, one_row, statement, text},
};

/// Blocks a room, which may be blocked already.
pub fn upsert(room_id: &RoomId, blocked_by: UserNid) -> Statement {
    one_row(
        "-- blocked_rooms::upsert
        INSERT INTO blocked_rooms (room_id, blocked_by) VALUES ($1, $2) ON CONFLICT (room_id) DO UPDATE SET blocked_by = excluded.blocked_by",
        [text(room_id.as_str()), blocked_by.int()],
    )
}

/// Blocks a room no longer.
pub fn delete(room_id: &RoomId) -> Statement {
    statement(
        "-- blocked_rooms::delete
        DELETE FROM blocked_rooms WHERE room_id = $1",
        [text(room_id.as_str())],
    )
}

/// Who has blocked a room; none if it is not blocked.
pub async fn blocked_by(db: &Database, room_id: &RoomId) -> Result<Option<OwnedUserId>, StoreError> {
    let sql = "-- blocked_rooms::blocked_by
        SELECT u.user_id FROM blocked_rooms b JOIN users u ON u.user_nid = b.blocked_by WHERE b.room_id = $1";
    let Some(row) = db.query_opt(sql, &[text(room_id.as_str())]).await? else {
        return Ok(None);
    };
    let user_id = UserId::parse(row.text(0)?).map_err(|error| StoreError::corrupt("users", error.to_string()))?;
    Ok(Some(user_id))
}
