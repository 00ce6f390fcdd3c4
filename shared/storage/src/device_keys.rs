//! Table `device_keys`: what devices of local users say of themselves, as they said it.

use bytes::Bytes;
use plexus_core::ids::UserNid;
use ruma::{DeviceId, OwnedDeviceId};

use crate::{
    Store, StoreError,
    db::{Statement, Value},
    sql::{Int as _, bytes, one_row, statement, text},
};

/// Most devices whose keys are read for one batch of users.
const DEVICES_MAX: i64 = 50_000;

/// A device's keys, with the name its user gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceKeys {
    /// Whose device.
    pub user: UserNid,
    /// Which device.
    pub device_id: OwnedDeviceId,
    /// The device's name, which is not part of what it signed.
    pub display_name: Option<String>,
    /// The keys as they were uploaded.
    pub json: Bytes,
}

/// Sets a device's keys.
pub fn upsert(user: UserNid, device_id: &DeviceId, json: &[u8]) -> Statement {
    one_row(
        "-- device_keys::upsert
        INSERT INTO device_keys (user_nid, device_id, json) VALUES ($1, $2, $3)
        ON CONFLICT (user_nid, device_id) DO UPDATE SET json = excluded.json",
        [user.int(), text(device_id.as_str()), bytes(json)],
    )
}

/// Removes a device's keys, if it has any.
pub fn delete(user: UserNid, device_id: &DeviceId) -> Statement {
    statement(
        "-- device_keys::delete
        DELETE FROM device_keys WHERE user_nid = $1 AND device_id = $2",
        [user.int(), text(device_id.as_str())],
    )
}

impl Store {
    /// The keys of one device, as they were uploaded.
    pub async fn keys_of_device(&self, user: UserNid, device_id: &DeviceId) -> Result<Option<Bytes>, StoreError> {
        let sql = "-- device_keys::keys_of_device
            SELECT json FROM device_keys WHERE user_nid = $1 AND device_id = $2";
        let row = self
            .db()
            .query_opt(sql, &[user.int(), text(device_id.as_str())])
            .await?;
        Ok(row.map(|row| row.bytes(0)).transpose()?)
    }

    /// The keys of all devices of some users, by user and device.
    pub async fn device_keys(&self, users: &[UserNid]) -> Result<Vec<DeviceKeys>, StoreError> {
        let sql = "-- device_keys::device_keys
            SELECT k.user_nid, k.device_id, d.display_name, k.json
            FROM device_keys k JOIN devices d ON d.user_nid = k.user_nid AND d.device_id = k.device_id
            WHERE k.user_nid = ANY($1) ORDER BY k.user_nid, k.device_id LIMIT $2";
        let users = Value::Ints(users.iter().map(|user| user.0).collect());
        let rows = self.db().query(sql, &[users, DEVICES_MAX.int()]).await?;
        rows.iter()
            .map(|row| {
                Ok(DeviceKeys {
                    user: UserNid(row.int(0)?),
                    device_id: row.text(1)?.into(),
                    display_name: row.opt_text(2)?.map(str::to_owned),
                    json: row.bytes(3)?,
                })
            })
            .collect()
    }
}
