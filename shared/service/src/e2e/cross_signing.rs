//! Publishing cross-signing keys.

use std::collections::BTreeMap;

use plexus_proto::{self as proto, command::Kind};
use plexus_storage::cross_signing_keys::{CrossSigningKey, Usage};
use serde::Deserialize;
use serde_json::{Value as Json, value::RawValue};

use super::{
    limits::{check_name, check_size},
    signed::{is_signed, message, signatures_by},
};
use crate::{Ctx, Requester, ServiceError, error::Refusal, ids::new_command, users::uia::authorize};

/// What interactive authentication is asked for.
const OPERATION: &str = "POST /keys/device_signing/upload";

/// The keys a user publishes.
#[derive(Debug, Default, Deserialize)]
pub struct SigningKeys {
    pub auth: Option<Json>,
    pub master_key: Option<Box<RawValue>>,
    pub self_signing_key: Option<Box<RawValue>>,
    pub user_signing_key: Option<Box<RawValue>>,
}

/// What must be in a cross-signing key.
#[derive(Deserialize)]
struct Shape {
    user_id: String,
    usage: Vec<String>,
    keys: BTreeMap<String, String>,
}

/// A key that is new, or another than before.
struct NewKey {
    public: String,
    json: Box<RawValue>,
}

/// Publishes cross-signing keys of the requester. To replace keys he has to authenticate; to publish his first ones, or the same ones again, he has not:
/// <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysdevice_signingupload>.
pub async fn upload_signing_keys(ctx: &Ctx, requester: &Requester, keys: SigningKeys) -> Result<(), ServiceError> {
    let stored = ctx.store.cross_signing_keys(&[requester.user]).await?;
    let mut master = read_new(ctx, requester, Usage::Master, keys.master_key, &stored).await?;
    let mut self_signing = read_new(ctx, requester, Usage::SelfSigning, keys.self_signing_key, &stored).await?;
    let mut user_signing = read_new(ctx, requester, Usage::UserSigning, keys.user_signing_key, &stored).await?;
    if master.is_none() && self_signing.is_none() && user_signing.is_none() {
        return Ok(());
    }
    let stored_master = stored.iter().find(|key| key.usage == Usage::Master);
    let master_key = master.as_ref().map(|key| key.public.as_str());
    let Some(master_key) = master_key.or(stored_master.map(|key| key.key_id.as_str())) else {
        return Err(ServiceError::refused(
            Refusal::MissingParam,
            "there is no master key to sign the other keys",
        ));
    };
    for key in [&self_signing, &user_signing].into_iter().flatten() {
        require_signature(requester, master_key, &key.json)?;
    }
    let authorized = stored_master.is_some();
    if authorized {
        authorize(ctx, requester, keys.auth.as_ref(), OPERATION).await?;
    }
    let publish = |key: &mut Option<NewKey>| {
        key.take().map(|key| proto::CrossSigningKey {
            key_id: key.public,
            json: key.json.get().to_owned().into(),
        })
    };
    let command = proto::SetCrossSigningKeys {
        user_id: requester.user_id.to_string(),
        master: publish(&mut master),
        self_signing: publish(&mut self_signing),
        user_signing: publish(&mut user_signing),
        authorized,
    };
    ctx.replica.run(new_command(Kind::SetCrossSigningKeys(command))).await?;
    Ok(())
}

/// A key of the request; none if there is none, or if it is the one that is stored.
async fn read_new(
    ctx: &Ctx,
    requester: &Requester,
    usage: Usage,
    json: Option<Box<RawValue>>,
    stored: &[CrossSigningKey],
) -> Result<Option<NewKey>, ServiceError> {
    let Some(json) = json else { return Ok(None) };
    let name = usage.as_str();
    check_size("a cross-signing key", &json)?;
    let shape: Shape =
        serde_json::from_str(json.get()).map_err(|error| ServiceError::bad_json(format!("{name}: {error}")))?;
    if requester.user_id.as_str() != shape.user_id {
        return Err(ServiceError::invalid_param(format!(
            "the {name} key is of another user"
        )));
    }
    if !shape.usage.iter().any(|usage| usage == name) {
        return Err(ServiceError::invalid_param(format!(
            "`usage` of the {name} key does not have {name}"
        )));
    }
    let mut keys = shape.keys.into_iter();
    let (Some((key_id, public)), None) = (keys.next(), keys.next()) else {
        return Err(ServiceError::invalid_param(format!(
            "`keys` of the {name} key has exactly one key"
        )));
    };
    check_name("a public key", &public)?;
    if key_id.strip_prefix("ed25519:") != Some(public.as_str()) {
        return Err(ServiceError::invalid_param(
            "a cross-signing key is named `ed25519:` and itself",
        ));
    }
    let before = stored.iter().find(|stored| stored.usage == usage);
    if before.is_some_and(|before| is_same(&before.json, json.get().as_bytes())) {
        return Ok(None);
    }
    if ctx
        .store
        .device(requester.user, public.as_str().into())
        .await?
        .is_some()
    {
        return Err(ServiceError::forbidden("a device of this user has the key's name"));
    }
    Ok(Some(NewKey { public, json }))
}

fn require_signature(requester: &Requester, master_key: &str, json: &RawValue) -> Result<(), ServiceError> {
    let signatures = signatures_by(json.get().as_bytes(), &requester.user_id);
    let signature = signatures.get(&format!("ed25519:{master_key}"));
    let message = message(json.get().as_bytes());
    let is_good = message
        .zip(signature)
        .is_some_and(|(message, signature)| is_signed(&message, master_key, signature));
    if is_good {
        Ok(())
    } else {
        Err(ServiceError::refused(
            Refusal::InvalidSignature,
            "the key is not signed by the master key",
        ))
    }
}

fn is_same(left: &[u8], right: &[u8]) -> bool {
    let read = |json| serde_json::from_slice::<Json>(json).ok();
    left == right || read(left).is_some_and(|left| Some(left) == read(right))
}
