//! Table `one_time_keys`: keys of local users' devices, each to be given to one other device. Only the master reads them.

use bytes::Bytes;
use plexus_core::ids::UserNid;
use ruma::DeviceId;

use crate::{
    Store, StoreError,
    db::{Statement, Value},
    sql::{Int as _, bytes, one_row, statement, text},
};

/// Most one-time keys a device may have waiting, over all algorithms. Clients keep 50 or 100.
pub const ONE_TIME_KEYS_MAX: usize = 1_000;

/// A key with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTimeKey {
    /// The algorithm, the part before the colon.
    pub algorithm: String,
    /// The rest of the name.
    pub key_id: String,
    /// The key, as it was uploaded.
    pub json: Bytes,
}

/// Adds a key. One of that name must not be there.
pub fn insert(user: UserNid, device_id: &DeviceId, key: &OneTimeKey, position: Value) -> Statement {
    one_row(
        "-- one_time_keys::insert
        INSERT INTO one_time_keys (user_nid, device_id, algorithm, key_id, position, json) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (user_nid, device_id, algorithm, key_id) DO NOTHING",
        [
            user.int(),
            text(device_id.as_str()),
            text(&key.algorithm),
            text(&key.key_id),
            position,
            bytes(&key.json),
        ],
    )
}

/// Takes a key, which must be there: what makes that nobody else gets it.
pub fn take(user: UserNid, device_id: &DeviceId, algorithm: &str, key_id: &str) -> Statement {
    one_row(
        "-- one_time_keys::take
        DELETE FROM one_time_keys WHERE user_nid = $1 AND device_id = $2 AND algorithm = $3 AND key_id = $4",
        [user.int(), text(device_id.as_str()), text(algorithm), text(key_id)],
    )
}

/// Removes all keys of a device.
pub fn delete_of_device(user: UserNid, device_id: &DeviceId) -> Statement {
    statement(
        "-- one_time_keys::delete_of_device
        DELETE FROM one_time_keys WHERE user_nid = $1 AND device_id = $2",
        [user.int(), text(device_id.as_str())],
    )
}

impl Store {
    /// All keys of a device.
    pub async fn one_time_keys(&self, user: UserNid, device_id: &DeviceId) -> Result<Vec<OneTimeKey>, StoreError> {
        let sql = "-- one_time_keys::one_time_keys
            SELECT algorithm, key_id, json FROM one_time_keys WHERE user_nid = $1 AND device_id = $2 LIMIT $3";
        let limit = Value::Int(i64::try_from(ONE_TIME_KEYS_MAX).unwrap_or(i64::MAX));
        let params = [user.int(), text(device_id.as_str()), limit];
        let rows = self.db().query(sql, &params).await?;
        rows.iter()
            .map(|row| {
                Ok(OneTimeKey {
                    algorithm: row.text(0)?.to_owned(),
                    key_id: row.text(1)?.to_owned(),
                    json: row.bytes(2)?,
                })
            })
            .collect()
    }

    /// The key of an algorithm that is next to be given out, with its id.
    pub async fn next_one_time_key(
        &self,
        user: UserNid,
        device_id: &DeviceId,
        algorithm: &str,
    ) -> Result<Option<(String, Bytes)>, StoreError> {
        let sql = "-- one_time_keys::next
            SELECT key_id, json FROM one_time_keys WHERE user_nid = $1 AND device_id = $2 AND algorithm = $3
            ORDER BY position, key_id LIMIT 1";
        let params = [user.int(), text(device_id.as_str()), text(algorithm)];
        let row = self.db().query_opt(sql, &params).await?;
        row.map(|row| Ok((row.text(0)?.to_owned(), row.bytes(1)?))).transpose()
    }
}
