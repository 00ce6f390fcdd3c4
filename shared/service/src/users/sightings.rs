//! Where and when devices were last seen: kept in memory, written down seldom, so that no request costs a write.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use plexus_core::ids::UserNid;
use plexus_storage::device_sightings::Sighting;
use ruma::{DeviceId, OwnedDeviceId};

use crate::{Ctx, Requester, ServiceError};

/// Most devices noted between two flushes; further ones are noted after the next.
const NOTED_MAX: usize = 20_000;
/// A device seen again within this time, from the same place, is not noted anew.
const PRECISION_MS: i64 = 60_000;
/// Longest text of a user agent that is kept.
const USER_AGENT_BYTES_MAX: usize = 256;

/// What this process has seen since the last flush. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Sightings(Arc<Mutex<Noted>>);

type Noted = HashMap<UserNid, HashMap<OwnedDeviceId, Sighting>>;

impl Sightings {
    /// Notes a request of a device.
    pub fn note(&self, requester: &Requester, now_ms: i64, ip: &str, user_agent: &str) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = noted
            .get(&requester.user)
            .and_then(|devices| devices.get(&requester.device_id));
        if kept.is_some_and(|kept| kept.ip == ip && now_ms - kept.seen_ms < PRECISION_MS) {
            return;
        }
        if kept.is_none() && noted.len() >= NOTED_MAX {
            return;
        }
        let seen = Sighting {
            device_id: requester.device_id.clone(),
            seen_ms: now_ms,
            ip: ip.to_owned(),
            user_agent: shorten(user_agent).to_owned(),
        };
        let devices = noted.entry(requester.user).or_default();
        devices.insert(requester.device_id.clone(), seen);
    }

    fn of_user(&self, user: UserNid) -> HashMap<OwnedDeviceId, Sighting> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.get(&user).cloned().unwrap_or_default()
    }

    /// Forgets a device that has gone.
    pub(super) fn forget(&self, user: UserNid, device_id: &DeviceId) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(devices) = noted.get_mut(&user) {
            devices.remove(device_id);
        }
    }
}

/// Where and when a user's devices were last seen, as far as this process knows.
pub async fn list_sightings(ctx: &Ctx, user: UserNid) -> Result<HashMap<OwnedDeviceId, Sighting>, ServiceError> {
    let stored = ctx.store.sightings(user).await?;
    let mut all: HashMap<_, _> = stored.into_iter().map(|seen| (seen.device_id.clone(), seen)).collect();
    all.extend(ctx.sightings.of_user(user));
    Ok(all)
}

/// Writes down what was noted since the last time.
pub async fn flush(ctx: &Ctx) -> Result<(), ServiceError> {
    let noted = std::mem::take(&mut *ctx.sightings.0.lock().unwrap_or_else(PoisonError::into_inner));
    for (user, devices) in noted {
        for seen in devices.into_values() {
            ctx.store.upsert_sighting(user, &seen).await?;
        }
    }
    Ok(())
}

fn shorten(text: &str) -> &str {
    let end = text.floor_char_boundary(USER_AGENT_BYTES_MAX);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use ruma::owned_user_id;

    use super::*;

    #[test]
    fn the_newest_sighting_is_kept_and_the_map_is_bounded() {
        let sightings = Sightings::default();
        let requester = |nid: i64| Requester {
            user: UserNid(nid),
            user_id: owned_user_id!("@a:x"),
            device_id: "PHONE".into(),
            admin: false,
            guest: false,
            suspended: false,
        };
        let seen = |nid: i64| sightings.of_user(UserNid(nid)).into_values().next();
        sightings.note(&requester(1), 5, "10.0.0.1", "agent");
        sightings.note(&requester(1), 6, "10.0.0.1", "agent");
        assert_eq!(seen(1).map(|seen| seen.seen_ms), Some(5));
        sightings.note(&requester(1), 7, "10.0.0.2", &"x".repeat(1_000));
        let newest = seen(1).expect("noted");
        assert_eq!((newest.seen_ms, newest.user_agent.len()), (7, USER_AGENT_BYTES_MAX));
        for nid in 2..i64::try_from(NOTED_MAX).expect("fits") + 2 {
            sightings.note(&requester(nid), 8, "10.0.0.3", "");
        }
        assert!(seen(i64::try_from(NOTED_MAX).expect("fits")).is_some());
        assert!(seen(i64::try_from(NOTED_MAX).expect("fits") + 1).is_none());
        sightings.forget(UserNid(1), "PHONE".into());
        assert!(seen(1).is_none());
    }
}
