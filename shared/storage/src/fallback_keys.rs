//! Table `fallback_keys`: the key of each algorithm that a device's peers get when there are no one-time keys left. Only the master reads them.

use plexus_core::ids::UserNid;
use ruma::DeviceId;

use crate::{
    Store, StoreError,
    db::Statement,
    one_time_keys::OneTimeKey,
    sql::{Int as _, bytes, one_row, statement, text},
};

/// Most algorithms a device may have fallback keys of.
pub const ALGORITHMS_MAX: i64 = 20;

/// A fallback key, and whether it has been given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallbackKey {
    /// The key.
    pub key: OneTimeKey,
    /// Whether somebody has got it since it was uploaded.
    pub used: bool,
}

/// Sets the key of its algorithm; nobody has got it yet.
pub fn upsert(user: UserNid, device_id: &DeviceId, key: &OneTimeKey) -> Statement {
    one_row(
        "-- fallback_keys::upsert
        INSERT INTO fallback_keys (user_nid, device_id, algorithm, key_id, used, json) VALUES ($1, $2, $3, $4, FALSE, $5)
        ON CONFLICT (user_nid, device_id, algorithm) DO UPDATE SET key_id = excluded.key_id, used = FALSE, json = excluded.json",
        [
            user.int(),
            text(device_id.as_str()),
            text(&key.algorithm),
            text(&key.key_id),
            bytes(&key.json),
        ],
    )
}

/// The key has been given out, if it is still that one.
pub fn mark_used(user: UserNid, device_id: &DeviceId, algorithm: &str, key_id: &str) -> Statement {
    statement(
        "-- fallback_keys::mark_used
        UPDATE fallback_keys SET used = TRUE WHERE user_nid = $1 AND device_id = $2 AND algorithm = $3 AND key_id = $4",
        [user.int(), text(device_id.as_str()), text(algorithm), text(key_id)],
    )
}

/// Removes all keys of a device.
pub fn delete_of_device(user: UserNid, device_id: &DeviceId) -> Statement {
    statement(
        "-- fallback_keys::delete_of_device
        DELETE FROM fallback_keys WHERE user_nid = $1 AND device_id = $2",
        [user.int(), text(device_id.as_str())],
    )
}

impl Store {
    /// The fallback keys of a device.
    pub async fn fallback_keys(&self, user: UserNid, device_id: &DeviceId) -> Result<Vec<FallbackKey>, StoreError> {
        let sql = "-- fallback_keys::fallback_keys
            SELECT algorithm, key_id, json, used FROM fallback_keys WHERE user_nid = $1 AND device_id = $2 LIMIT $3";
        let params = [user.int(), text(device_id.as_str()), ALGORITHMS_MAX.int()];
        let rows = self.db().query(sql, &params).await?;
        rows.iter()
            .map(|row| {
                let key = OneTimeKey {
                    algorithm: row.text(0)?.to_owned(),
                    key_id: row.text(1)?.to_owned(),
                    json: row.bytes(2)?,
                };
                Ok(FallbackKey {
                    key,
                    used: row.bool(3)?,
                })
            })
            .collect()
    }
}
