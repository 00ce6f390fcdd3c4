//! What other servers are told of the devices and keys of users of this server, and of nobody else.

use std::collections::BTreeMap;

use ruma::{OwnedUserId, UserId};
use serde_json::{Value, json, value::RawValue};

use crate::{
    Ctx, ServiceError,
    e2e::{
        claim::{self, claim_keys_here},
        query::{self, query_keys_here},
    },
};

/// The keys of users of this server and their devices; others are passed over. As JSON.
pub async fn query_keys_for_server(ctx: &Ctx, mut wanted: query::Wanted) -> Result<Value, ServiceError> {
    wanted.retain(|user_id, _| user_id.server_name() == ctx.config.server_name);
    let known = query_keys_here(ctx, wanted).await?;
    Ok(json!({
        "device_keys": known.device_keys,
        "master_keys": known.master_keys,
        "self_signing_keys": known.self_signing_keys,
    }))
}

/// Takes keys of devices of users of this server; others are passed over.
pub async fn claim_keys_for_server(
    ctx: &Ctx,
    mut wanted: claim::Wanted,
) -> Result<BTreeMap<OwnedUserId, Box<RawValue>>, ServiceError> {
    wanted.retain(|user_id, _| user_id.server_name() == ctx.config.server_name);
    claim_keys_here(ctx, wanted).await
}

/// All devices of a user of this server that have keys, as JSON. What he calls them is nobody's business elsewhere.
pub async fn get_devices_for_server(ctx: &Ctx, user_id: &UserId) -> Result<Value, ServiceError> {
    let unknown = || ServiceError::not_found("there is no such user");
    if user_id.server_name() != ctx.config.server_name {
        return Err(ServiceError::invalid_param("the user is not of this server"));
    }
    let user = ctx.store.user_nid(user_id).await?.ok_or_else(unknown)?;
    ctx.store.account(user).await?.ok_or_else(unknown)?;
    // First: what is read after it is as new as that, or newer.
    let stream_id = ctx.store.device_stream_id(user).await?;
    let wanted = query::Wanted::from([(user_id.to_owned(), Vec::new())]);
    let mut known = query_keys_here(ctx, wanted).await?;
    let devices = known.device_keys.remove(user_id).unwrap_or_default();
    let devices: Vec<Value> = devices
        .into_iter()
        .map(|(device_id, keys)| json!({"device_id": device_id, "keys": keys}))
        .collect();
    let mut answer = json!({"user_id": user_id, "stream_id": stream_id, "devices": devices});
    for (name, mut keys) in [
        ("master_key", known.master_keys),
        ("self_signing_key", known.self_signing_keys),
    ] {
        if let Some(key) = keys.remove(user_id) {
            answer[name] = json!(key);
        }
    }
    Ok(answer)
}
