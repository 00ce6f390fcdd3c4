//! Where and when devices were last seen: kept in memory, written down seldom, so that no request costs a write.

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use plexus_core::ids::UserNid;
use plexus_storage::device_sightings::Sighting;
use ruma::{DeviceId, OwnedDeviceId};

use crate::{Ctx, Requester, ServiceError};

/// Most users noted; when there are more, what has been written down is forgotten.
const USERS_MAX: usize = 20_000;
/// Most devices noted of one user.
const DEVICES_MAX: usize = 100;
/// A device seen again within this time, from the same place, is not noted anew.
const PRECISION_MS: i64 = 5 * 60_000;
/// How often what was noted is written down.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// Longest text of a user agent that is kept.
const USER_AGENT_BYTES_MAX: usize = 256;

/// What this process has seen. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Sightings(Arc<Mutex<Noted>>);

/// By user and device, and what of it is not written down yet.
#[derive(Debug, Default)]
struct Noted {
    all: HashMap<UserNid, HashMap<OwnedDeviceId, Sighting>>,
    fresh: HashSet<(UserNid, OwnedDeviceId)>,
}

impl Sightings {
    /// Notes a request of a device.
    pub fn note(&self, requester: &Requester, now_ms: i64, ip: &str, user_agent: &str) {
        let mut noted = self.noted();
        let devices = noted.all.get(&requester.user);
        let kept = devices.and_then(|devices| devices.get(&requester.device_id));
        if kept.is_some_and(|kept| kept.ip == ip && now_ms - kept.seen_ms < PRECISION_MS) {
            return;
        }
        if devices.is_none() && noted.all.len() >= USERS_MAX {
            // All but what is still to be written: it is in the database.
            let fresh: HashSet<UserNid> = noted.fresh.iter().map(|(user, _)| *user).collect();
            noted.all.retain(|user, _| fresh.contains(user));
            if noted.all.len() >= USERS_MAX {
                return;
            }
        }
        let device_id = requester.device_id.clone();
        let seen = Sighting {
            device_id: device_id.clone(),
            seen_ms: now_ms,
            ip: ip.to_owned(),
            user_agent: shorten(user_agent).to_owned(),
        };
        let devices = noted.all.entry(requester.user).or_default();
        if devices.len() >= DEVICES_MAX {
            devices.clear();
        }
        devices.insert(device_id.clone(), seen);
        noted.fresh.insert((requester.user, device_id));
    }

    fn of_user(&self, user: UserNid) -> HashMap<OwnedDeviceId, Sighting> {
        self.noted().all.get(&user).cloned().unwrap_or_default()
    }

    /// Forgets a device that has gone.
    pub(super) fn forget(&self, user: UserNid, device_id: &DeviceId) {
        let mut noted = self.noted();
        noted.fresh.remove(&(user, device_id.to_owned()));
        if let Some(devices) = noted.all.get_mut(&user) {
            devices.remove(device_id);
        }
    }

    /// What is to be written down now.
    fn take_fresh(&self) -> Vec<(UserNid, Sighting)> {
        let mut noted = self.noted();
        let fresh = mem::take(&mut noted.fresh);
        let seen = |(user, device_id)| Some((user, noted.all.get(&user)?.get(&device_id)?.clone()));
        fresh.into_iter().filter_map(seen).collect()
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    for (user, seen) in ctx.sightings.take_fresh() {
        // A device that has gone meanwhile must not come back.
        if ctx.store.device(user, &seen.device_id).await?.is_some() {
            ctx.store.upsert_sighting(user, &seen).await?;
        }
    }
    Ok(())
}

/// Writes down what was noted, again and again. Ends with the process; what was noted last may be lost.
pub async fn keep_flushing(ctx: Ctx) {
    loop {
        tokio::time::sleep(FLUSH_EVERY).await;
        if let Err(error) = flush(&ctx).await {
            tracing::warn!(%error, "when devices were last seen cannot be written down");
        }
    }
}

fn shorten(text: &str) -> &str {
    let fits = text.char_indices().map(|(at, char)| at + char.len_utf8());
    let end = fits.take_while(|end| *end <= USER_AGENT_BYTES_MAX).last();
    &text[..end.unwrap_or_default()]
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
        let most = i64::try_from(USERS_MAX).expect("fits");
        for nid in 2..=most + 1 {
            sightings.note(&requester(nid), 8, "10.0.0.3", "");
        }
        assert!(seen(most).is_some());
        assert!(seen(most + 1).is_none());
        assert_eq!(sightings.take_fresh().len(), USERS_MAX);
        // Once all is written down there is room again, and nothing is written twice.
        sightings.note(&requester(most + 1), 9, "10.0.0.3", "");
        assert_eq!((seen(most), sightings.take_fresh().len()), (None, 1));
        sightings.note(&requester(1), 9, "10.0.0.3", "");
        sightings.forget(UserNid(1), "PHONE".into());
        assert!(seen(1).is_none());
    }
}
