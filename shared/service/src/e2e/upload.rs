//! Publishing a device's keys.

use std::{collections::BTreeMap, sync::Arc};

use plexus_proto::{self as proto, command::Kind};
use plexus_storage::{key_counts::KeyCounts, one_time_keys::ONE_TIME_KEYS_MAX};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::limits::{check_name, check_size};
use crate::{Ctx, Requester, ServiceError, error::Refusal, ids::new_command};

/// Most identity keys of one device.
const IDENTITY_KEYS_MAX: usize = 100;

/// What a device publishes.
#[derive(Debug, Default, Deserialize)]
pub struct Upload {
    pub device_keys: Option<Box<RawValue>>,
    #[serde(default)]
    pub one_time_keys: Option<BTreeMap<String, Box<RawValue>>>,
    /// The second name is from before the specification had them.
    #[serde(default, alias = "org.matrix.msc2732.fallback_keys")]
    pub fallback_keys: Option<BTreeMap<String, Box<RawValue>>>,
}

/// What must be in device keys. The rest is the client's.
#[derive(Deserialize)]
struct DeviceKeys {
    user_id: String,
    device_id: String,
    #[serde(rename = "algorithms")]
    _algorithms: Vec<String>,
    keys: BTreeMap<String, String>,
    #[serde(rename = "signatures")]
    _signatures: BTreeMap<String, BTreeMap<String, String>>,
}

/// Publishes keys of the requester's device. Gives how many it has then.
pub async fn upload_keys(ctx: &Ctx, requester: &Requester, upload: Upload) -> Result<Arc<KeyCounts>, ServiceError> {
    if let Some(device_keys) = &upload.device_keys {
        check_device_keys(requester, device_keys)?;
    }
    let one_time_keys = named(upload.one_time_keys.unwrap_or_default())?;
    let fallback_keys = named(upload.fallback_keys.unwrap_or_default())?;
    let is_empty = upload.device_keys.is_none() && one_time_keys.is_empty() && fallback_keys.is_empty();
    if !is_empty {
        let command = proto::UploadKeys {
            user_id: requester.user_id.to_string(),
            device_id: requester.device_id.to_string(),
            device_keys: upload.device_keys.map(|json| json.get().to_owned().into()),
            one_time_keys,
            fallback_keys,
        };
        ctx.replica.run(new_command(Kind::UploadKeys(command))).await?;
    }
    Ok(ctx.store.key_counts(requester.user, &requester.device_id).await?)
}

fn check_device_keys(requester: &Requester, json: &RawValue) -> Result<(), ServiceError> {
    check_size("a device's keys", json)?;
    let keys: DeviceKeys =
        serde_json::from_str(json.get()).map_err(|error| ServiceError::bad_json(format!("device_keys: {error}")))?;
    if requester.user_id.as_str() != keys.user_id || requester.device_id.as_str() != keys.device_id {
        return Err(ServiceError::invalid_param(
            "the keys are of another user or device than the access token",
        ));
    }
    if keys.keys.len() > IDENTITY_KEYS_MAX {
        return Err(ServiceError::invalid_param("a device does not have so many keys"));
    }
    Ok(())
}

/// Keys with the parts of their names. What a key is, is the clients' affair, as long as it is a string or an object.
fn named(keys: BTreeMap<String, Box<RawValue>>) -> Result<Vec<proto::NamedKey>, ServiceError> {
    if keys.len() > ONE_TIME_KEYS_MAX {
        return Err(ServiceError::refused(
            Refusal::TooLarge,
            format!("a device has {ONE_TIME_KEYS_MAX} keys at most"),
        ));
    }
    let mut named = Vec::with_capacity(keys.len());
    for (name, key) in keys {
        check_name("the name of a key", &name)?;
        check_size("a key", &key)?;
        let Some((algorithm, key_id)) = name.split_once(':').filter(|(a, id)| !a.is_empty() && !id.is_empty()) else {
            return Err(ServiceError::invalid_param("the name of a key is `algorithm:id`"));
        };
        if !key.get().starts_with(['"', '{']) {
            return Err(ServiceError::bad_json("a key is a string or an object"));
        }
        named.push(proto::NamedKey {
            algorithm: algorithm.to_owned(),
            key_id: key_id.to_owned(),
            json: key.get().to_owned().into(),
        });
    }
    Ok(named)
}
