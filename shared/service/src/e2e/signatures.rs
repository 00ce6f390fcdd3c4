//! Publishing signatures of keys: a user's own devices and master key, and other users' master keys.

use std::collections::BTreeMap;

use bytes::Bytes;
use plexus_core::ids::UserNid;
use plexus_proto::{self as proto, command::Kind};
use plexus_storage::cross_signing_keys::{CrossSigningKey, Usage};
use ruma::{OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    limits::{check_name, check_size},
    signed::{is_signed, message, signatures_by},
};
use crate::{Ctx, Requester, ServiceError, error::Refusal, ids::new_command};

/// Most signed objects in one request.
const SIGNED_MAX: usize = 500;

/// Most signatures in one of them.
const SIGNATURES_EACH_MAX: usize = 100;

/// Signed objects, by user and then by device id or public key.
pub type SignedKeys = BTreeMap<OwnedUserId, BTreeMap<String, Box<RawValue>>>;

/// What failed, in the same order.
pub type Failures = BTreeMap<OwnedUserId, BTreeMap<String, Failure>>;

/// Why the signatures of one object were not published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub errcode: &'static str,
    pub error: &'static str,
}

const INVALID: Failure = Failure {
    errcode: "M_INVALID_SIGNATURE",
    error: "the signature is wrong, or by a key that does not sign such keys",
};
const CHANGED: Failure = Failure {
    errcode: "M_INVALID_SIGNATURE",
    error: "what is signed is not the key as it was uploaded",
};
const UNKNOWN: Failure = Failure {
    errcode: "M_NOT_FOUND",
    error: "there is no such key",
};

/// Publishes the signatures the requester has made. Those that are wrong are told; the others are published.
pub async fn upload_signatures(ctx: &Ctx, requester: &Requester, signed: SignedKeys) -> Result<Failures, ServiceError> {
    if signed.values().map(BTreeMap::len).sum::<usize>() > SIGNED_MAX {
        return Err(ServiceError::refused(
            Refusal::TooLarge,
            format!("one request publishes signatures of {SIGNED_MAX} keys at most"),
        ));
    }
    let own = ctx.store.cross_signing_keys(&[requester.user]).await?;
    let mut failures = Failures::new();
    let mut signatures = Vec::new();
    for (user_id, objects) in signed {
        for (target, object) in objects {
            check_name("a device id or public key", &target)?;
            check_size("a signed key", &object)?;
            match check(ctx, requester, &own, &user_id, &target, &object).await? {
                Ok(good) => signatures.extend(good.into_iter().map(|(key_id, signature)| proto::KeySignature {
                    target_user_id: user_id.to_string(),
                    target: target.clone(),
                    key_id,
                    signature,
                })),
                Err(failure) => {
                    failures.entry(user_id.clone()).or_default().insert(target, failure);
                }
            }
        }
    }
    if !signatures.is_empty() {
        let command = proto::AddSignatures {
            user_id: requester.user_id.to_string(),
            signatures,
        };
        ctx.replica.run(new_command(Kind::AddSignatures(command))).await?;
    }
    Ok(failures)
}

/// The good signatures of one object, by the ids of the keys.
async fn check(
    ctx: &Ctx,
    requester: &Requester,
    own: &[CrossSigningKey],
    user_id: &UserId,
    target: &str,
    object: &RawValue,
) -> Result<Result<Vec<(String, String)>, Failure>, ServiceError> {
    let Some(user) = ctx.store.user_nid(user_id).await? else {
        return Ok(Err(UNKNOWN));
    };
    let Some(stored) = find_target(ctx, user, target).await? else {
        return Ok(Err(UNKNOWN));
    };
    let Some(message) = message(object.get().as_bytes()) else {
        return Ok(Err(CHANGED));
    };
    let is_own = user == requester.user;
    let (json, is_master) = match &stored {
        Target::Device(json) if is_own => (json, false),
        Target::Master(json) => (json, true),
        Target::Device(_) => return Ok(Err(INVALID)),
    };
    if super::signed::message(json).as_deref() != Some(message.as_str()) {
        return Ok(Err(CHANGED));
    }
    let given = signatures_by(object.get().as_bytes(), &requester.user_id);
    if given.len() > SIGNATURES_EACH_MAX {
        return Ok(Err(INVALID));
    }
    let already = signatures_by(json, &requester.user_id);
    let mut good = Vec::new();
    for (key_id, signature) in given {
        // A device's own signature comes along with what it signs.
        if already.get(&key_id) == Some(&signature) {
            continue;
        }
        let Some(public) = signing_key(ctx, requester, own, (is_own, is_master), &key_id).await? else {
            return Ok(Err(INVALID));
        };
        if !is_signed(&message, &public, &signature) {
            return Ok(Err(INVALID));
        }
        good.push((key_id, signature));
    }
    Ok(if good.is_empty() { Err(INVALID) } else { Ok(good) })
}

/// What is signed.
enum Target {
    Device(Bytes),
    Master(Bytes),
}

async fn find_target(ctx: &Ctx, user: UserNid, target: &str) -> Result<Option<Target>, ServiceError> {
    if let Some(device) = ctx.store.keys_of_device(user, target.into()).await? {
        return Ok(Some(Target::Device(device)));
    }
    let keys = ctx.store.cross_signing_keys(&[user]).await?;
    let master = keys
        .into_iter()
        .find(|key| key.usage == Usage::Master && key.key_id == target);
    Ok(master.map(|key| Target::Master(key.json)))
}

/// The requester's public key of that id, if it is one that signs such a target: his devices sign his master key, his self-signing key signs his devices, his
/// user-signing key signs others' master keys.
async fn signing_key(
    ctx: &Ctx,
    requester: &Requester,
    own: &[CrossSigningKey],
    (is_own, is_master): (bool, bool),
    key_id: &str,
) -> Result<Option<String>, ServiceError> {
    let Some(name) = key_id.strip_prefix("ed25519:") else {
        return Ok(None);
    };
    let usage = match (is_own, is_master) {
        (true, true) => return device_key(ctx, requester, name, key_id).await,
        (true, false) => Usage::SelfSigning,
        (false, _) => Usage::UserSigning,
    };
    let key = own.iter().find(|key| key.usage == usage && key.key_id == name);
    Ok(key.map(|key| key.key_id.clone()))
}

async fn device_key(
    ctx: &Ctx,
    requester: &Requester,
    device_id: &str,
    key_id: &str,
) -> Result<Option<String>, ServiceError> {
    #[derive(Deserialize)]
    struct Keys {
        keys: BTreeMap<String, String>,
    }
    let json = ctx.store.keys_of_device(requester.user, device_id.into()).await?;
    let keys: Option<Keys> = json.and_then(|json| serde_json::from_slice(&json).ok());
    Ok(keys.and_then(|mut keys| keys.keys.remove(key_id)))
}
