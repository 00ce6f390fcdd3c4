//! What is known of users' devices and keys.

use std::collections::{BTreeMap, HashMap};

use metrics::counter;
use plexus_core::ids::UserNid;
use plexus_storage::{
    cross_signing_keys::{CrossSigningKey, Usage},
    device_keys::DeviceKeys,
    key_signatures::KeySignature,
};
use ruma::{OwnedServerName, OwnedUserId, UserId};
use serde::Serialize;
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};

use super::signed::{Shown, show};
use crate::{Ctx, Requester, ServiceError, error::Refusal};

/// Most users one request asks of.
const USERS_MAX: usize = 5_000;

/// Users that are looked up at a time.
const USERS_AT_ONCE: usize = 200;

/// Stored keys that cannot be read and were passed over.
const BROKEN_TOTAL: &str = "plexus_keys_broken_total";

/// The devices wanted of each user; none are all of them.
pub type Wanted = BTreeMap<OwnedUserId, Vec<String>>;

/// Keys of one kind, by user.
type ByUser<T> = BTreeMap<OwnedUserId, T>;

/// What is known.
#[derive(Debug, Default, Serialize)]
pub struct Known {
    pub device_keys: ByUser<BTreeMap<String, Box<RawValue>>>,
    pub master_keys: ByUser<Box<RawValue>>,
    pub self_signing_keys: ByUser<Box<RawValue>>,
    pub user_signing_keys: ByUser<Box<RawValue>>,
    pub failures: BTreeMap<OwnedServerName, serde_json::Value>,
}

/// The signatures of a user's keys, by what is signed.
type Signatures<'a> = HashMap<(UserNid, &'a str), Vec<Shown<'a>>>;

/// The keys of users and their devices, with the signatures that the requester may see. A user who is not known has none.
pub async fn query_keys(ctx: &Ctx, requester: &Requester, wanted: Wanted) -> Result<Known, ServiceError> {
    if wanted.len() > USERS_MAX {
        return Err(ServiceError::refused(
            Refusal::TooLarge,
            format!("one request asks of {USERS_MAX} users at most"),
        ));
    }
    let mut known = Known::default();
    let mut local: Vec<(UserNid, OwnedUserId, Vec<String>)> = Vec::new();
    for (user_id, devices) in wanted {
        if user_id.server_name() != ctx.config.server_name {
            let answer = json!({"errcode": "M_UNKNOWN", "error": "the server cannot be asked"});
            known.failures.insert(user_id.server_name().to_owned(), answer);
            continue;
        }
        known.device_keys.insert(user_id.clone(), BTreeMap::new());
        if let Some(user) = ctx.store.user_nid(&user_id).await? {
            local.push((user, user_id, devices));
        }
    }
    for batch in local.chunks(USERS_AT_ONCE) {
        let users: Vec<UserNid> = batch.iter().map(|(user, ..)| *user).collect();
        let devices = ctx.store.device_keys(&users).await?;
        let cross_signing = ctx.store.cross_signing_keys(&users).await?;
        let signatures = ctx.store.key_signatures(&users, requester.user).await?;
        let asked: HashMap<UserNid, (&OwnedUserId, &[String])> = batch
            .iter()
            .map(|(user, user_id, devices)| (*user, (user_id, devices.as_slice())))
            .collect();
        let signatures = by_target(&signatures, requester, &asked);
        for device in &devices {
            add_device(&mut known, requester, device, &signatures, &asked);
        }
        for key in &cross_signing {
            add_cross_signing(&mut known, requester, key, &signatures, &asked);
        }
    }
    Ok(known)
}

type Asked<'a> = HashMap<UserNid, (&'a OwnedUserId, &'a [String])>;

fn by_target<'a>(signatures: &'a [KeySignature], requester: &'a Requester, asked: &Asked<'a>) -> Signatures<'a> {
    let mut by_target = Signatures::new();
    for signature in signatures {
        let signer = if signature.signer == requester.user {
            requester.user_id.as_str()
        } else if let Some((user_id, _)) = asked.get(&signature.signer) {
            user_id.as_str()
        } else {
            continue;
        };
        let of_target = by_target.entry((signature.target_user, signature.target.as_str()));
        of_target.or_default().push(Shown {
            signer,
            key_id: &signature.key_id,
            signature: &signature.signature,
        });
    }
    by_target
}

fn add_device(
    known: &mut Known,
    requester: &Requester,
    device: &DeviceKeys,
    signatures: &Signatures<'_>,
    asked: &Asked<'_>,
) {
    let Some((user_id, wanted)) = asked.get(&device.user) else {
        return;
    };
    let device_id = device.device_id.as_str();
    if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == device_id) {
        return;
    }
    let unsigned = match &device.display_name {
        Some(name) => json!({"device_display_name": name}),
        None => json!({}),
    };
    let unsigned = to_raw_value(&unsigned).ok();
    let shown = shown(
        &device.json,
        requester,
        user_id,
        signatures.get(&(device.user, device_id)),
        unsigned.as_deref(),
    );
    if let Some(shown) = shown {
        let of_user = known.device_keys.entry((*user_id).clone()).or_default();
        of_user.insert(device_id.to_owned(), shown);
    }
}

fn add_cross_signing(
    known: &mut Known,
    requester: &Requester,
    key: &CrossSigningKey,
    signatures: &Signatures<'_>,
    asked: &Asked<'_>,
) {
    let Some((user_id, _)) = asked.get(&key.user) else {
        return;
    };
    let keys = match key.usage {
        Usage::Master => &mut known.master_keys,
        Usage::SelfSigning => &mut known.self_signing_keys,
        Usage::UserSigning if key.user == requester.user => &mut known.user_signing_keys,
        Usage::UserSigning => return,
    };
    let later = signatures.get(&(key.user, key.key_id.as_str()));
    if let Some(shown) = shown(&key.json, requester, user_id, later, None) {
        keys.insert((*user_id).clone(), shown);
    }
}

/// The key with the signatures the requester may see: the owner's and his own. None, and counted, if what is stored cannot be read: one bad row must not
/// keep all others from everybody.
fn shown(
    json: &[u8],
    requester: &Requester,
    owner: &UserId,
    later: Option<&Vec<Shown<'_>>>,
    unsigned: Option<&RawValue>,
) -> Option<Box<RawValue>> {
    let later = later.map(Vec::as_slice).unwrap_or_default();
    let shown = show(json, &[owner, &requester.user_id], later, unsigned);
    if shown.is_none() {
        counter!(BROKEN_TOTAL).increment(1);
    }
    shown
}
