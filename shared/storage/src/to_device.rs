//! Table `to_device`: messages that wait for a device until it has acknowledged them.
//!
//! Whether any wait is kept in memory for each device that syncs, so that a device without messages costs no query.

use bytes::Bytes;
use plexus_core::{ids::UserNid, position::Sequence};
use ruma::DeviceId;

use crate::{
    Store, StoreError,
    cache::{Changing, bounded},
    db::{Statement, Value},
    key_counts::DeviceKey,
    sql::{Int as _, bytes, statement, text},
};

/// Bounds the cache.
const CACHE_BYTES: u64 = 4 << 20;

/// The places of the first and the last message that wait for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The oldest.
    pub first: Sequence,
    /// The newest.
    pub last: Sequence,
}

/// A message that waits for a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingMessage {
    /// Its place in the log, and in the device's queue.
    pub position: Sequence,
    /// Who sent it.
    pub sender: UserNid,
    /// The event type.
    pub kind: String,
    /// The content, a JSON object.
    pub content: Bytes,
}

/// What of messages waits for devices.
pub(crate) type WaitingCache = Changing<DeviceKey, Option<Waiting>>;

pub(crate) fn cache() -> WaitingCache {
    Changing::new(bounded(CACHE_BYTES, 80, |(_, device), _| {
        (device.as_str().len() + size_of::<DeviceKey>() + size_of::<Waiting>()) as u64
    }))
}

/// Queues a message, if the device is there: one that is being removed gets none.
pub fn insert(
    user: UserNid,
    device_id: &DeviceId,
    position: Value,
    sender: UserNid,
    kind: &str,
    content: &[u8],
) -> Statement {
    statement(
        "-- to_device::insert
        INSERT INTO to_device (user_nid, device_id, position, sender_nid, kind, content)
        SELECT user_nid, device_id, CAST($3 AS BIGINT), CAST($4 AS BIGINT), CAST($5 AS TEXT), CAST($6 AS BYTEA)
        FROM devices WHERE user_nid = $1 AND device_id = $2",
        [
            user.int(),
            text(device_id.as_str()),
            position,
            sender.int(),
            text(kind),
            bytes(content),
        ],
    )
}

/// Removes the messages up to a place: the device has got them.
pub fn delete_up_to(user: UserNid, device_id: &DeviceId, up_to: Sequence) -> Statement {
    statement(
        "-- to_device::delete_up_to
        DELETE FROM to_device WHERE user_nid = $1 AND device_id = $2 AND position <= $3",
        [user.int(), text(device_id.as_str()), up_to.int()],
    )
}

impl Store {
    /// What waits for a device, as new as this process knows; nothing if nothing does.
    pub async fn to_device_waiting(&self, user: UserNid, device_id: &DeviceId) -> Result<Option<Waiting>, StoreError> {
        let key = (user, device_id.to_owned());
        self.caches()
            .to_device
            .get_or_load(&key, || self.load_waiting(user, device_id))
            .await
    }

    /// The messages for a device in (after, `up_to`], oldest first, at most `limit`.
    pub async fn to_device_messages(
        &self,
        user: UserNid,
        device_id: &DeviceId,
        after: Sequence,
        up_to: Sequence,
        limit: i64,
    ) -> Result<Vec<WaitingMessage>, StoreError> {
        let sql = "-- to_device::messages
            SELECT position, sender_nid, kind, content FROM to_device
            WHERE user_nid = $1 AND device_id = $2 AND position > $3 AND position <= $4 ORDER BY position LIMIT $5";
        let params = [
            user.int(),
            text(device_id.as_str()),
            after.int(),
            up_to.int(),
            limit.int(),
        ];
        let rows = self.db().query(sql, &params).await?;
        rows.iter()
            .map(|row| {
                Ok(WaitingMessage {
                    position: row.int(0)?,
                    sender: UserNid(row.int(1)?),
                    kind: row.text(2)?.to_owned(),
                    content: row.bytes(3)?,
                })
            })
            .collect()
    }

    async fn load_waiting(&self, user: UserNid, device_id: &DeviceId) -> Result<Option<Waiting>, StoreError> {
        let sql = "-- to_device::waiting
            SELECT MIN(position), MAX(position) FROM to_device WHERE user_nid = $1 AND device_id = $2";
        let row = self
            .db()
            .query_opt(sql, &[user.int(), text(device_id.as_str())])
            .await?;
        let Some(row) = row else { return Ok(None) };
        let ends = row.opt_int(0)?.zip(row.opt_int(1)?);
        Ok(ends.map(|(first, last)| Waiting { first, last }))
    }
}
