//! What is known of users' devices and keys.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

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
use crate::{
    Ctx, Requester, ServiceError,
    error::Refusal,
    federation::{
        device_lists::is_remote,
        keys::{Kept, Told, find_keys},
    },
};

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

/// Who asks: what he is shown is the owners' signatures and his own. A server is shown the owners' alone.
#[derive(Clone, Copy, Debug)]
struct Viewer<'a>(Option<&'a Requester>);

impl<'a> Viewer<'a> {
    /// His number; one that nobody has for a server.
    fn nid(self) -> UserNid {
        self.0.map_or(UserNid(0), |requester| requester.user)
    }

    /// Whose signatures of a key of `owner` he is shown.
    fn signers(self, owner: &'a UserId) -> Vec<&'a UserId> {
        let own = self.0.map(|requester| &*requester.user_id);
        [owner].into_iter().chain(own).collect()
    }
}

/// The keys of users and their devices, with the signatures that the requester may see. A user who is not known has none. Other servers are waited for as
/// long as `wait`.
pub async fn query_keys(
    ctx: &Ctx,
    requester: &Requester,
    wanted: Wanted,
    wait: Duration,
) -> Result<Known, ServiceError> {
    check_count(&wanted)?;
    let (elsewhere, wanted): (Wanted, Wanted) = wanted.into_iter().partition(|(user_id, _)| is_remote(ctx, user_id));
    let mut known = Known::default();
    let mut listed = local(ctx, wanted, &mut known).await?;
    let viewer = Viewer(Some(requester));
    if !elsewhere.is_empty() {
        let found = find_keys(ctx, elsewhere, wait).await?;
        for told in found.told {
            add_told(&mut known, viewer, &told);
        }
        for server in found.failures {
            let answer = json!({"errcode": "M_UNKNOWN", "error": "the server cannot be asked"});
            known.failures.insert(server, answer);
        }
        for (_, user_id, _) in &found.kept {
            known.device_keys.insert(user_id.clone(), BTreeMap::new());
        }
        listed.extend(found.kept);
    }
    collect(ctx, viewer, &listed, &mut known).await?;
    Ok(known)
}

/// The keys of users of this server, as every other server may know them.
pub async fn query_keys_here(ctx: &Ctx, wanted: Wanted) -> Result<Known, ServiceError> {
    check_count(&wanted)?;
    let mut known = Known::default();
    let listed = local(ctx, wanted, &mut known).await?;
    collect(ctx, Viewer(None), &listed, &mut known).await?;
    Ok(known)
}

fn check_count(wanted: &Wanted) -> Result<(), ServiceError> {
    if wanted.len() > USERS_MAX {
        return Err(ServiceError::refused(
            Refusal::TooLarge,
            format!("one request asks of {USERS_MAX} users at most"),
        ));
    }
    Ok(())
}

/// Users of this server that are known here.
async fn local(ctx: &Ctx, wanted: Wanted, known: &mut Known) -> Result<Vec<Kept>, ServiceError> {
    let mut local = Vec::with_capacity(wanted.len());
    for (user_id, devices) in wanted {
        known.device_keys.insert(user_id.clone(), BTreeMap::new());
        if let Some(user) = ctx.store.user_nid(&user_id).await? {
            local.push((user, user_id, devices));
        }
    }
    Ok(local)
}

/// Adds what is kept here of some users.
async fn collect(ctx: &Ctx, viewer: Viewer<'_>, listed: &[Kept], known: &mut Known) -> Result<(), ServiceError> {
    for batch in listed.chunks(USERS_AT_ONCE) {
        let users: Vec<UserNid> = batch.iter().map(|(user, ..)| *user).collect();
        let remote = batch.iter().filter(|(_, user_id, _)| is_remote(ctx, user_id));
        let remote: Vec<UserNid> = remote.map(|(user, ..)| *user).collect();
        let mut devices = ctx.store.device_keys(&users).await?;
        if !remote.is_empty() {
            devices.extend(ctx.store.remote_devices(&remote).await?);
        }
        let cross_signing = ctx.store.cross_signing_keys(&users).await?;
        let signatures = ctx.store.key_signatures(&users, viewer.nid()).await?;
        let asked: HashMap<UserNid, (&OwnedUserId, &[String])> = batch
            .iter()
            .map(|(user, user_id, devices)| (*user, (user_id, devices.as_slice())))
            .collect();
        let signatures = by_target(&signatures, viewer, &asked);
        for device in &devices {
            add_device(known, viewer, device, &signatures, &asked);
        }
        for key in &cross_signing {
            add_cross_signing(known, viewer, key, &signatures, &asked);
        }
    }
    Ok(())
}

/// Adds what another server has just said of a user.
fn add_told(known: &mut Known, viewer: Viewer<'_>, told: &Told) {
    let owner = &told.user_id;
    let show = |key: &RawValue| shown(key.get().as_bytes(), viewer, owner, None, None);
    let devices = told.devices.iter();
    let devices = devices.filter_map(|(device_id, key)| Some((device_id.clone(), show(key)?)));
    known.device_keys.insert(owner.clone(), devices.collect());
    for (keys, key) in [
        (&mut known.master_keys, &told.master),
        (&mut known.self_signing_keys, &told.self_signing),
    ] {
        if let Some(key) = key.as_deref().and_then(show) {
            keys.insert(owner.clone(), key);
        }
    }
}

type Asked<'a> = HashMap<UserNid, (&'a OwnedUserId, &'a [String])>;

fn by_target<'a>(signatures: &'a [KeySignature], viewer: Viewer<'a>, asked: &Asked<'a>) -> Signatures<'a> {
    let mut by_target = Signatures::new();
    for signature in signatures {
        let own = viewer.0.filter(|requester| requester.user == signature.signer);
        let signer = if let Some(requester) = own {
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
    viewer: Viewer<'_>,
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
    // What a user calls his devices is nobody's business elsewhere.
    let unsigned = match device.display_name.as_ref().filter(|_| viewer.0.is_some()) {
        Some(name) => json!({"device_display_name": name}),
        None => json!({}),
    };
    let unsigned = to_raw_value(&unsigned).ok();
    let shown = shown(
        &device.json,
        viewer,
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
    viewer: Viewer<'_>,
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
        Usage::UserSigning if key.user == viewer.nid() => &mut known.user_signing_keys,
        Usage::UserSigning => return,
    };
    let later = signatures.get(&(key.user, key.key_id.as_str()));
    if let Some(shown) = shown(&key.json, viewer, user_id, later, None) {
        keys.insert((*user_id).clone(), shown);
    }
}

/// The key with the signatures the requester may see: the owner's and his own. None, and counted, if what is stored cannot be read: one bad row must not
/// keep all others from everybody.
fn shown(
    json: &[u8],
    viewer: Viewer<'_>,
    owner: &UserId,
    later: Option<&Vec<Shown<'_>>>,
    unsigned: Option<&RawValue>,
) -> Option<Box<RawValue>> {
    let later = later.map(Vec::as_slice).unwrap_or_default();
    let shown = show(json, &viewer.signers(owner), later, unsigned);
    if shown.is_none() {
        counter!(BROKEN_TOTAL).increment(1);
    }
    shown
}
