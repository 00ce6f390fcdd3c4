//! How many keys a device has left: a view over the tables `one_time_keys` and `fallback_keys`, which every sync tells, and therefore kept in memory.

use std::{collections::BTreeMap, sync::Arc};

use plexus_core::{ids::UserNid, position::Sequence};
use ruma::{DeviceId, OwnedDeviceId};

use crate::{
    Store, StoreError,
    cache::{Changing, bounded},
    fallback_keys::ALGORITHMS_MAX,
    recent::Recent,
    sql::{Int as _, text},
};

/// Bounds the cache.
const CACHE_BYTES: u64 = 4 << 20;

/// Most algorithms that are counted.
const COUNTED_MAX: i64 = 100;

/// A device's supply of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// How many one-time keys there are of each algorithm that has any.
    pub one_time: BTreeMap<String, i64>,
    /// The algorithms with a fallback key that nobody has got yet.
    pub unused_fallback: Vec<String>,
}

/// A user's device.
pub(crate) type DeviceKey = (UserNid, OwnedDeviceId);

/// The supplies of devices.
pub(crate) type KeyCountsCache = Changing<DeviceKey, Arc<KeyCounts>>;

pub(crate) fn cache() -> KeyCountsCache {
    Changing::new(bounded(CACHE_BYTES, 300, |(_, device), counts| {
        let one_time: usize = counts.one_time.keys().map(|name| name.len() + 64).sum();
        let fallback: usize = counts.unused_fallback.iter().map(|name| name.len() + 24).sum();
        (device.as_str().len() + one_time + fallback + 64) as u64
    }))
}

/// Most changes of supplies that are remembered in their order.
const RECENT_MAX: usize = 16_384;

/// The latest changes of supplies.
pub(crate) fn recent() -> Recent<DeviceKey> {
    Recent::new(RECENT_MAX)
}

impl Store {
    /// Whether the device's supply of keys has changed in (after, `up_to`], as far as this process remembers. It is told with every answer, so it is no
    /// loss if a change from before this process began to remember wakes nobody.
    pub fn key_counts_changed(&self, user: UserNid, device_id: &DeviceId, after: Sequence, up_to: Sequence) -> bool {
        let changes = &self.caches().key_counts_changes;
        changes.any(after, up_to, |(owner, device)| *owner == user && *device == device_id)
    }

    /// A device's supply of keys, as new as this process knows.
    pub async fn key_counts(&self, user: UserNid, device_id: &DeviceId) -> Result<Arc<KeyCounts>, StoreError> {
        let key = (user, device_id.to_owned());
        self.caches()
            .key_counts
            .get_or_load(&key, || self.load_key_counts(user, device_id))
            .await
    }

    async fn load_key_counts(&self, user: UserNid, device_id: &DeviceId) -> Result<Arc<KeyCounts>, StoreError> {
        let mut counts = KeyCounts::default();
        let sql = "-- key_counts::one_time
            SELECT algorithm, COUNT(*) FROM one_time_keys WHERE user_nid = $1 AND device_id = $2
            GROUP BY algorithm ORDER BY algorithm LIMIT $3";
        let params = [user.int(), text(device_id.as_str()), COUNTED_MAX.int()];
        for row in self.db().query(sql, &params).await? {
            counts.one_time.insert(row.text(0)?.to_owned(), row.int(1)?);
        }
        let sql = "-- key_counts::unused_fallback
            SELECT algorithm FROM fallback_keys WHERE user_nid = $1 AND device_id = $2 AND used = FALSE
            ORDER BY algorithm LIMIT $3";
        let params = [user.int(), text(device_id.as_str()), ALGORITHMS_MAX.int()];
        for row in self.db().query(sql, &params).await? {
            counts.unused_fallback.push(row.text(0)?.to_owned());
        }
        Ok(Arc::new(counts))
    }
}
