//! Table `devices`: where local users are logged in.

use plexus_core::ids::UserNid;
use ruma::{DeviceId, OwnedDeviceId};

use crate::{
    Store, StoreError,
    db::{DbRow, Statement, Value},
    sql::{Int as _, one_row, opt_text, statement, text},
};

/// Most devices that are listed of a user.
pub const DEVICES_MAX: i64 = 10_000;

/// A device of a local user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its id, unique among the user's.
    pub device_id: OwnedDeviceId,
    /// What the user calls it.
    pub display_name: Option<String>,
    /// When it was first logged in.
    pub created_ms: i64,
}

/// Makes a device, unless it is there: logging in again on a device leaves it as it is.
pub fn insert(user: UserNid, device: &Device) -> Statement {
    statement(
        "-- devices::insert
        INSERT INTO devices (user_nid, device_id, display_name, created_ms) VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_nid, device_id) DO NOTHING",
        [
            user.int(),
            text(device.device_id.as_str()),
            opt_text(device.display_name.as_deref()),
            device.created_ms.int(),
        ],
    )
}

/// Changes what a user calls a device.
pub fn rename(user: UserNid, device_id: &DeviceId, display_name: Option<&str>) -> Statement {
    one_row(
        "-- devices::rename
        UPDATE devices SET display_name = $3 WHERE user_nid = $1 AND device_id = $2",
        [user.int(), text(device_id.as_str()), opt_text(display_name)],
    )
}

/// Removes a device, if it is there. Its tokens have to go first.
pub fn delete(user: UserNid, device_id: &DeviceId) -> Statement {
    statement(
        "-- devices::delete
        DELETE FROM devices WHERE user_nid = $1 AND device_id = $2",
        [user.int(), text(device_id.as_str())],
    )
}

impl Store {
    /// A device of a user.
    pub async fn device(&self, user: UserNid, device_id: &DeviceId) -> Result<Option<Device>, StoreError> {
        let sql = "-- devices::device
            SELECT device_id, display_name, created_ms FROM devices WHERE user_nid = $1 AND device_id = $2";
        let row = self
            .db()
            .query_opt(sql, &[user.int(), text(device_id.as_str())])
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// The devices of a user, by id; [`DEVICES_MAX`] at most.
    pub async fn devices(&self, user: UserNid) -> Result<Vec<Device>, StoreError> {
        let sql = "-- devices::devices
            SELECT device_id, display_name, created_ms FROM devices WHERE user_nid = $1 ORDER BY device_id LIMIT $2";
        self.db()
            .query(sql, &[user.int(), DEVICES_MAX.int()])
            .await?
            .iter()
            .map(read)
            .collect()
    }

    /// The ids of the devices of some users; [`DEVICES_MAX`] at most.
    pub async fn device_ids(&self, users: &[UserNid]) -> Result<Vec<(UserNid, OwnedDeviceId)>, StoreError> {
        let sql = "-- devices::device_ids
            SELECT user_nid, device_id FROM devices WHERE user_nid = ANY($1) ORDER BY user_nid, device_id LIMIT $2";
        let users = Value::Ints(users.iter().map(|user| user.0).collect());
        let rows = self.db().query(sql, &[users, DEVICES_MAX.int()]).await?;
        rows.iter()
            .map(|row| Ok((UserNid(row.int(0)?), row.text(1)?.into())))
            .collect()
    }
}

fn read(row: &DbRow) -> Result<Device, StoreError> {
    Ok(Device {
        device_id: row.text(0)?.into(),
        display_name: row.opt_text(1)?.map(str::to_owned),
        created_ms: row.int(2)?,
    })
}
