//! Lists of the devices of users of other servers: kept while their servers tell of changes, which is while somebody here shares a room with the user.
//!
//! A list is asked for whole when somebody wants to know it; from then on it follows the changes that the user's server tells of. A change that was missed
//! shows in the numbers of the next one, and then the list is asked for whole again. Clients are told that there is something new before that, so whoever
//! asks next finds the list stale, and asks the other server himself if nobody else has by then.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#device-management>

mod check;
mod fetch;

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    fmt,
    sync::Arc,
};

use metrics::counter;
use plexus_core::{
    ids::{RoomNid, UserNid},
    position::Sequence,
    row::Membership,
};
use plexus_federation::flights::{Flights, Spawn};
use plexus_proto::{ChangeRemoteDevices, command::Kind};
use quick_cache::sync::Cache;
use ruma::{OwnedUserId, ServerName, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

pub(crate) use self::check::is_own_key;
pub use self::fetch::fetch;
use crate::{Ctx, ServiceError, ids::new_command, rooms::access::now};

/// Most lists that a process asks for at the same time because of changes.
const FETCHES_AT_ONCE: usize = 20;
/// Most lists that wait to be asked for because of a change. More are asked for when somebody wants to know them.
const FETCHES_WAITING_MAX: usize = 1_000;
/// Rooms of which it is remembered who of this server is in them.
const WITNESSES_MAX: usize = 10_000;
/// Most changes before it that a change names.
const PREVIOUS_MAX: usize = 100;
/// Changes of devices that were told and are not believed.
const UNBELIEVED_TOTAL: &str = "plexus_device_changes_unbelieved_total";

/// Lists under way to this process. Cheap to clone.
#[derive(Clone)]
pub struct DeviceLists(Arc<Inner>);

struct Inner {
    /// By user, and the change that made it necessary.
    fetches: Arc<Flights<(OwnedUserId, Option<i64>), bool>>,
    turns: Semaphore,
    waiting: Arc<Semaphore>,
    spawn: Spawn,
    /// For a room, who of this server has been there for longest, since when, and up to which place in the log that was seen.
    witnesses: Cache<RoomNid, (UserNid, Sequence, Sequence)>,
}

impl DeviceLists {
    /// Nothing is under way; `spawn` is where that would be.
    pub fn new(spawn: &Spawn) -> Self {
        Self(Arc::new(Inner {
            fetches: Flights::new(Arc::clone(spawn)),
            turns: Semaphore::new(FETCHES_AT_ONCE),
            waiting: Arc::new(Semaphore::new(FETCHES_WAITING_MAX)),
            spawn: Arc::clone(spawn),
            witnesses: Cache::new(WITNESSES_MAX),
        }))
    }
}

impl fmt::Debug for DeviceLists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceLists")
    }
}

#[derive(Debug, Deserialize)]
struct DeviceListUpdate {
    user_id: OwnedUserId,
    device_id: String,
    stream_id: i64,
    #[serde(default)]
    prev_id: Vec<i64>,
    #[serde(default)]
    deleted: bool,
    device_display_name: Option<String>,
    keys: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
struct SigningKeyUpdate {
    user_id: OwnedUserId,
    master_key: Option<Box<RawValue>>,
    self_signing_key: Option<Box<RawValue>>,
}

/// A server tells that a device of one of its users has changed: the content of an `m.device_list_update`. What makes no sense is passed over, and counted.
pub async fn on_update(ctx: &Ctx, origin: &ServerName, content: &RawValue) -> Result<(), ServiceError> {
    let Ok(mut update) = serde_json::from_str::<DeviceListUpdate>(content.get()) else {
        return pass_over(origin);
    };
    let user_id = update.user_id;
    if user_id.server_name() != origin || update.prev_id.len() > PREVIOUS_MAX {
        return pass_over(origin);
    }
    let (mut device, mut deleted) = (None, None);
    if update.deleted {
        if check::name(&update.device_id).is_none() {
            return pass_over(origin);
        }
        deleted = Some(update.device_id);
    } else if let Some(keys) = update.keys {
        device = check::device(&user_id, update.device_id, update.device_display_name, &keys);
        if device.is_none() {
            // Something has changed, and what it is makes no sense: whoever asks for the whole list may know.
            counter!(UNBELIEVED_TOTAL).increment(1);
            update.prev_id.clear();
        }
    } else {
        // A device that has no keys yet is none that anybody could write to.
        deleted = check::name(&update.device_id).map(|()| update.device_id);
    }
    let change = ChangeRemoteDevices {
        user_id: user_id.to_string(),
        stream_id: Some(update.stream_id),
        previous: update.prev_id,
        device,
        deleted,
        ..ChangeRemoteDevices::default()
    };
    tell(ctx, user_id, change).await
}

/// A server tells that the cross-signing keys of one of its users have changed: the content of an `m.signing_key_update`.
pub async fn on_signing_key_update(ctx: &Ctx, origin: &ServerName, content: &RawValue) -> Result<(), ServiceError> {
    let Ok(update) = serde_json::from_str::<SigningKeyUpdate>(content.get()) else {
        return pass_over(origin);
    };
    let user_id = update.user_id;
    if user_id.server_name() != origin {
        return pass_over(origin);
    }
    let key = |key: Option<Box<RawValue>>| key.and_then(|key| check::signing_key(&user_id, &key));
    let change = ChangeRemoteDevices {
        user_id: user_id.to_string(),
        master: key(update.master_key),
        self_signing: key(update.self_signing_key),
        ..ChangeRemoteDevices::default()
    };
    if change.master.is_none() && change.self_signing.is_none() {
        return pass_over(origin);
    }
    tell(ctx, user_id, change).await
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it is what the functions that pass something over return"
)]
fn pass_over(origin: &ServerName) -> Result<(), ServiceError> {
    counter!(UNBELIEVED_TOTAL).increment(1);
    tracing::debug!(server.name = %origin, "a change of devices is not believed");
    Ok(())
}

/// Tells the master of a change, and asks for the whole list if something is missing. Of users whom nobody here meets, nothing is kept.
async fn tell(ctx: &Ctx, user_id: OwnedUserId, mut change: ChangeRemoteDevices) -> Result<(), ServiceError> {
    let Some(user) = ctx.store.user_nid(&user_id).await? else {
        return Ok(());
    };
    let Some(since) = told_since(ctx, &[user]).await?.remove(&user) else {
        return Ok(());
    };
    let list = ctx.store.remote_device_lists(&[user]).await?.pop();
    if list.is_some_and(|list| list.as_of < since) {
        // There was a time when changes were not told.
        change.previous.clear();
    }
    let stream_id = change.stream_id;
    let result = ctx.replica.run(new_command(Kind::ChangeRemoteDevices(change))).await?;
    if result.json.as_deref() == Some(b"true") {
        fetch::fetch_soon(ctx, user_id, stream_id);
    }
    Ok(())
}

/// Of some users of other servers, since when their servers have told this one of changes without a break. Those whom nobody here shares a room with are
/// left out.
pub async fn told_since(ctx: &Ctx, users: &[UserNid]) -> Result<HashMap<UserNid, Sequence>, ServiceError> {
    let mut here: HashMap<RoomNid, Option<Sequence>> = HashMap::new();
    let mut told: HashMap<UserNid, Sequence> = HashMap::new();
    for (user, room, joined) in ctx.store.in_rooms_since(users).await? {
        let here = match here.entry(room) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => *unknown.insert(here_since(ctx, room).await?),
        };
        let Some(here) = here else { continue };
        let since = joined.max(here);
        let best = told.entry(user).or_insert(since);
        *best = since.min(*best);
    }
    Ok(told)
}

/// Since when somebody of this server has been in a room without a break.
async fn here_since(ctx: &Ctx, room: RoomNid) -> Result<Option<Sequence>, ServiceError> {
    let witnesses = &ctx.device_lists.0.witnesses;
    // Who was there for longest still is, if nothing has become of him in the room since.
    if let Some((user, since, seen)) = witnesses.get(&room)
        && let Some(entry) = ctx.store.user_rooms(user).await?.get(room)
        && entry.membership == Membership::Join
        && entry.position <= seen
    {
        return Ok(Some(since));
    }
    let seen = now(ctx);
    let found = ctx.store.longest_here(room).await?;
    if let Some((user, since)) = found {
        witnesses.insert(room, (user, since, seen));
    }
    Ok(found.map(|(_, since)| since))
}

/// Which of some users of other servers there is a list of that can be relied on, and which there could be one of.
pub async fn current(ctx: &Ctx, users: &[UserNid]) -> Result<(HashSet<UserNid>, HashSet<UserNid>), ServiceError> {
    let told = told_since(ctx, users).await?;
    let lists = ctx.store.remote_device_lists(users).await?;
    let is_current = |user: UserNid, as_of: Sequence| told.get(&user).is_some_and(|since| *since <= as_of);
    let current: HashSet<UserNid> = lists
        .into_iter()
        .filter(|list| !list.stale && is_current(list.user, list.as_of))
        .map(|list| list.user)
        .collect();
    let possible = told.into_keys().filter(|user| !current.contains(user)).collect();
    Ok((current, possible))
}

/// Whether a user is of another server.
pub(crate) fn is_remote(ctx: &Ctx, user_id: &UserId) -> bool {
    user_id.server_name() != ctx.config.server_name
}
