//! Table `outgoing_device_changes`: the last change of each device of a local user that other servers learn of.
//!
//! The changes of a user's devices are a chain: each names the place of the one before; changes of his cross-signing keys are not in it. Of a device only the last one is kept, so a server that was not told of one finds
//! the chain broken and asks for all of the user's devices.

use plexus_core::{ids::UserNid, position::Sequence};
use ruma::DeviceId;

use crate::{
    Store, StoreError,
    db::{DbRow, Statement, Value},
    sql::{Int as _, one_row, text},
};

/// What stands for a user's cross-signing keys instead of a device.
const CROSS_SIGNING: &str = "";

/// A change of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceChange {
    /// Its place in the log.
    pub position: Sequence,
    /// Whose device.
    pub user: UserNid,
    /// Which device; none for the user's cross-signing keys.
    pub device_id: Option<String>,
    /// The place of the change of any of the user's devices before it.
    pub previous: Option<Sequence>,
}

/// A device of a local user changed, or his cross-signing keys did. To be written before `device_list_changes`, which has the change before the first one
/// of this table.
pub fn upsert(user: UserNid, device: Option<&DeviceId>, position: Value) -> Statement {
    one_row(
        "-- outgoing_device_changes::upsert
        INSERT INTO outgoing_device_changes (user_nid, device_id, position, previous) VALUES ($1, $2, $3, COALESCE(
            (SELECT MAX(position) FROM outgoing_device_changes WHERE user_nid = $1 AND device_id <> ''),
            (SELECT position FROM device_list_changes WHERE user_nid = $1 AND viewer_nid = 0)))
        ON CONFLICT (user_nid, device_id) DO UPDATE SET position = excluded.position, previous = excluded.previous",
        [
            user.int(),
            text(device.map_or(CROSS_SIGNING, DeviceId::as_str)),
            position,
        ],
    )
}

impl Store {
    /// A user's change at a place, if it is still the last of its device.
    pub async fn device_change(&self, user: UserNid, position: Sequence) -> Result<Option<DeviceChange>, StoreError> {
        let sql = "-- outgoing_device_changes::at
            SELECT user_nid, device_id, position, previous FROM outgoing_device_changes WHERE user_nid = $1 AND position = $2";
        let row = self.db().query_opt(sql, &[user.int(), position.int()]).await?;
        row.as_ref().map(read).transpose()
    }

    /// The last change of any of a user's devices, if there ever was one.
    pub async fn last_device_change(&self, user: UserNid) -> Result<Option<DeviceChange>, StoreError> {
        let sql = "-- outgoing_device_changes::last
            SELECT user_nid, device_id, position, previous FROM outgoing_device_changes WHERE user_nid = $1 AND device_id <> ''
            ORDER BY position DESC LIMIT 1";
        let row = self.db().query_opt(sql, &[user.int()]).await?;
        row.as_ref().map(read).transpose()
    }

    /// What changed in (after, `up_to`] of whomever, oldest first, at most `limit`.
    pub async fn device_changes(
        &self,
        after: Sequence,
        up_to: Sequence,
        limit: i64,
    ) -> Result<Vec<DeviceChange>, StoreError> {
        let sql = "-- outgoing_device_changes::between
            SELECT user_nid, device_id, position, previous FROM outgoing_device_changes WHERE position > $1 AND position <= $2
            ORDER BY position LIMIT $3";
        let rows = self.db().query(sql, &[after.int(), up_to.int(), limit.int()]).await?;
        rows.iter().map(read).collect()
    }

    /// The `stream_id` of all that other servers can learn of a local user's devices: the place of the last change.
    pub async fn device_stream_id(&self, user: UserNid) -> Result<Sequence, StoreError> {
        let sql = "-- outgoing_device_changes::stream_id
            SELECT COALESCE(
                (SELECT MAX(position) FROM outgoing_device_changes WHERE user_nid = $1 AND device_id <> ''),
                (SELECT position FROM device_list_changes WHERE user_nid = $1 AND viewer_nid = 0))";
        let row = self.db().query_opt(sql, &[user.int()]).await?;
        Ok(row.map(|row| row.opt_int(0)).transpose()?.flatten().unwrap_or_default())
    }
}

fn read(row: &DbRow) -> Result<DeviceChange, StoreError> {
    let device = row.text(1)?;
    Ok(DeviceChange {
        user: UserNid(row.int(0)?),
        device_id: (device != CROSS_SIGNING).then(|| device.to_owned()),
        position: row.int(2)?,
        previous: row.opt_int(3)?,
    })
}
