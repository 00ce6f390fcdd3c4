//! Keys of devices: uploading, claiming, and what goes when a device goes.
//!
//! A user's keys change in his lane only, and a device and its keys go together. What is decided in the same turn is not in the store yet; where two Commands of
//! a turn collide (the same key claimed twice, a key for a device that is being removed), a statement touches the wrong number of rows or misses its
//! device, the turn fails, and the Commands are decided again one by one.

use std::collections::{BTreeMap, HashSet};

use plexus_core::{ids::UserNid, row::Row};
use plexus_proto::{ClaimKeys, NamedKey, UploadKeys};
use plexus_storage::{
    device_keys, device_list_changes, fallback_keys, key_signatures,
    one_time_keys::{self, ONE_TIME_KEYS_MAX, OneTimeKey},
    outgoing_device_changes, to_device,
};
use ruma::{DeviceId, OwnedDeviceId};
use serde_json::{Value as Json, value::RawValue};

use super::{Decision, account::local_account};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, invalid_param, too_large, unknown_token},
    leader::Leader,
};

/// Devices that one Command claims keys of.
const CLAIMED_MAX: usize = 1_000;

/// What a claim takes, by device: the key by its full name.
type Claimed<'a> = BTreeMap<&'a str, BTreeMap<String, Box<RawValue>>>;

/// A device publishes its identity keys, one-time keys, fallback keys, or some of them.
pub(super) async fn upload_keys(leader: &Leader, command: &UploadKeys) -> Result<Decision, CommandError> {
    let user = local_account(leader, &command.user_id).await?;
    let device_id: OwnedDeviceId = command.device_id.as_str().into();
    if leader.store.device(user, &device_id).await?.is_none() {
        return Err(unknown_token("This device is logged out"));
    }
    let mut change = ChangeSet::default();
    if let Some(json) = &command.device_keys
        && leader.store.keys_of_device(user, &device_id).await?.as_ref() != Some(json)
    {
        change
            .statements
            .push(key_signatures::delete_of_target(user, device_id.as_str()));
        change.statements.push(device_keys::upsert(user, &device_id, json));
        mark_device_list(user, Some(&device_id), &mut change);
    }
    let before = change.statements.len();
    add_one_time_keys(leader, user, &device_id, &command.one_time_keys, &mut change).await?;
    add_fallback_keys(leader, user, &device_id, &command.fallback_keys, &mut change).await?;
    if change.statements.len() > before {
        // The next row, whose place the new keys have.
        mark_counts(user, &device_id, &mut change);
    }
    Ok(Decision {
        change,
        ..Decision::default()
    })
}

async fn add_one_time_keys(
    leader: &Leader,
    user: UserNid,
    device_id: &DeviceId,
    keys: &[NamedKey],
    change: &mut ChangeSet,
) -> Result<(), CommandError> {
    if keys.is_empty() {
        return Ok(());
    }
    let stored = leader.store.one_time_keys(user, device_id).await?;
    let mut count = stored.len();
    let by_name: BTreeMap<(&str, &str), &OneTimeKey> = stored
        .iter()
        .map(|key| ((key.algorithm.as_str(), key.key_id.as_str()), key))
        .collect();
    for key in keys {
        if let Some(there) = by_name.get(&(key.algorithm.as_str(), key.key_id.as_str())) {
            if is_same(&there.json, &key.json) {
                continue;
            }
            return Err(invalid_param(format!(
                "There is another one-time key {}:{} already",
                key.algorithm, key.key_id
            )));
        }
        count += 1;
        if count > ONE_TIME_KEYS_MAX {
            return Err(too_large(format!(
                "A device has {ONE_TIME_KEYS_MAX} one-time keys at most"
            )));
        }
        let position = change.next_sequence();
        change
            .statements
            .push(one_time_keys::insert(user, device_id, &named(key), position));
    }
    Ok(())
}

async fn add_fallback_keys(
    leader: &Leader,
    user: UserNid,
    device_id: &DeviceId,
    keys: &[NamedKey],
    change: &mut ChangeSet,
) -> Result<(), CommandError> {
    if keys.is_empty() {
        return Ok(());
    }
    let stored = leader.store.fallback_keys(user, device_id).await?;
    let mut algorithms: HashSet<&str> = stored.iter().map(|there| there.key.algorithm.as_str()).collect();
    for key in keys {
        let there = stored.iter().find(|there| there.key.algorithm == key.algorithm);
        // The same key again has still been given out, if it has.
        if there.is_some_and(|there| there.key.key_id == key.key_id && is_same(&there.key.json, &key.json)) {
            continue;
        }
        algorithms.insert(&key.algorithm);
        change
            .statements
            .push(fallback_keys::upsert(user, device_id, &named(key)));
    }
    if i64::try_from(algorithms.len()).is_ok_and(|count| count > fallback_keys::ALGORITHMS_MAX) {
        return Err(too_large("A device has fallback keys of so many algorithms at most"));
    }
    Ok(())
}

/// Takes a key of each of a user's devices that are named, where there is one.
pub(super) async fn claim_keys(leader: &Leader, command: &ClaimKeys) -> Result<Decision, CommandError> {
    let Ok(user) = local_account(leader, &command.user_id).await else {
        return claimed(ChangeSet::default(), &Claimed::new());
    };
    if command.wanted.len() > CLAIMED_MAX {
        return Err(CommandError::Malformed("too many devices"));
    }
    let mut change = ChangeSet::default();
    let mut taken = Claimed::new();
    for wanted in &command.wanted {
        let device_id: &DeviceId = wanted.device_id.as_str().into();
        let Some((name, key)) = claim_key(leader, user, device_id, &wanted.algorithm, &mut change).await? else {
            continue;
        };
        taken.entry(&wanted.device_id).or_default().insert(name, key);
    }
    claimed(change, &taken)
}

/// Takes the oldest one-time key of a device, or else shows its fallback key.
async fn claim_key(
    leader: &Leader,
    user: UserNid,
    device_id: &DeviceId,
    algorithm: &str,
    change: &mut ChangeSet,
) -> Result<Option<(String, Box<RawValue>)>, CommandError> {
    let next = leader.store.next_one_time_key(user, device_id, algorithm).await?;
    let (key_id, json) = if let Some(next) = next {
        change
            .statements
            .push(one_time_keys::take(user, device_id, algorithm, &next.0));
        mark_counts(user, device_id, change);
        next
    } else {
        let keys = leader.store.fallback_keys(user, device_id).await?;
        let Some(fallback) = keys.into_iter().find(|fallback| fallback.key.algorithm == algorithm) else {
            return Ok(None);
        };
        let key = fallback.key;
        if !fallback.used {
            change
                .statements
                .push(fallback_keys::mark_used(user, device_id, algorithm, &key.key_id));
            mark_counts(user, device_id, change);
        }
        (key.key_id, key.json)
    };
    let key = serde_json::from_slice(&json).map_err(|_| CommandError::Damaged("a key is no JSON"))?;
    Ok(Some((format!("{algorithm}:{key_id}"), key)))
}

fn claimed(change: ChangeSet, taken: &Claimed<'_>) -> Result<Decision, CommandError> {
    let json = serde_json::to_vec(taken).map_err(|_| CommandError::Malformed("claimed keys"))?;
    let mut decision = Decision {
        change,
        ..Decision::default()
    };
    decision.result.json = Some(json.into());
    Ok(decision)
}

fn mark_counts(user: UserNid, device_id: &DeviceId, change: &mut ChangeSet) {
    change.rows.push(Row::KeyCounts {
        user,
        device: device_id.to_owned(),
    });
}

/// Others have something new to learn of a device of a local user's, or of his cross-signing keys.
pub(super) fn mark_device_list(user: UserNid, device: Option<&DeviceId>, change: &mut ChangeSet) {
    let statement = outgoing_device_changes::upsert(user, device, change.next_sequence());
    change.statements.push(statement);
    mark_remote_device_list(user, change);
}

/// Others on this server have something new to learn of the devices or keys of a user, whose own server tells all other servers.
pub(super) fn mark_remote_device_list(user: UserNid, change: &mut ChangeSet) {
    let statement = device_list_changes::upsert(user, None, change.next_sequence());
    change.statements.push(statement);
    change.rows.push(Row::DeviceList { user });
}

/// What `viewer` alone sees of a user's keys has changed.
pub(super) fn mark_view(user: UserNid, viewer: UserNid, change: &mut ChangeSet) {
    let position = change.next_sequence();
    change
        .statements
        .push(device_list_changes::upsert(user, Some(viewer), position));
    change.rows.push(Row::KeyView { user, viewer });
}

/// Everything that is kept for a device goes: its keys and their signatures, and the messages that wait for it.
pub(super) fn remove_keys_of_device(user: UserNid, device_id: &DeviceId, change: &mut ChangeSet) {
    change.statements.extend([
        one_time_keys::delete_of_device(user, device_id),
        fallback_keys::delete_of_device(user, device_id),
        device_keys::delete(user, device_id),
        key_signatures::delete_of_target(user, device_id.as_str()),
        key_signatures::delete_by_device(user, device_id),
        to_device::delete_up_to(user, device_id, i64::MAX),
    ]);
}

fn named(key: &NamedKey) -> OneTimeKey {
    OneTimeKey {
        algorithm: key.algorithm.clone(),
        key_id: key.key_id.clone(),
        json: key.json.clone(),
    }
}

/// Whether two texts are the same JSON.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    let read = |json| serde_json::from_slice::<Json>(json).ok();
    left == right || read(left).is_some_and(|left| Some(left) == read(right))
}
