//! Table `device_sightings`: where and when devices were last seen. Free; written seldom, so behind the truth.

use plexus_core::ids::UserNid;
use ruma::{DeviceId, OwnedDeviceId};

use crate::{
    Store, StoreError,
    db::Statement,
    devices::DEVICES_MAX,
    sql::{Int as _, statement, text},
};

/// The last that was seen of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Which device.
    pub device_id: OwnedDeviceId,
    /// When.
    pub seen_ms: i64,
    /// From which address.
    pub ip: String,
    /// What the client said it was.
    pub user_agent: String,
}

/// Removes what is known of a device that goes.
pub fn delete(user: UserNid, device_id: &DeviceId) -> Statement {
    statement(
        "-- device_sightings::delete
        DELETE FROM device_sightings WHERE user_nid = $1 AND device_id = $2",
        [user.int(), text(device_id.as_str())],
    )
}

impl Store {
    /// Notes that a device was seen, unless it was seen later already.
    pub async fn upsert_sighting(&self, user: UserNid, seen: &Sighting) -> Result<(), StoreError> {
        let sql = "-- device_sightings::upsert
            INSERT INTO device_sightings (user_nid, device_id, seen_ms, ip, user_agent) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (user_nid, device_id) DO UPDATE SET
            seen_ms = excluded.seen_ms, ip = excluded.ip, user_agent = excluded.user_agent
            WHERE device_sightings.seen_ms < excluded.seen_ms";
        let device_id = text(seen.device_id.as_str());
        let params = [
            user.int(),
            device_id,
            seen.seen_ms.int(),
            text(&seen.ip),
            text(&seen.user_agent),
        ];
        self.db().execute(statement(sql, params)).await?;
        Ok(())
    }

    /// Where and when a user's devices were seen.
    pub async fn sightings(&self, user: UserNid) -> Result<Vec<Sighting>, StoreError> {
        let sql = "-- device_sightings::sightings
            SELECT device_id, seen_ms, ip, user_agent FROM device_sightings WHERE user_nid = $1 LIMIT $2";
        let rows = self.db().query(sql, &[user.int(), DEVICES_MAX.int()]).await?;
        rows.iter()
            .map(|row| {
                Ok(Sighting {
                    device_id: row.text(0)?.into(),
                    seen_ms: row.int(1)?,
                    ip: row.text(2)?.to_owned(),
                    user_agent: row.text(3)?.to_owned(),
                })
            })
            .collect()
    }
}
