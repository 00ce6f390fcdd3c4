//! A user's devices: <https://spec.matrix.org/v1.19/client-server-api/#device-management>.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use plexus_proto::{self as proto, command::Kind};
use plexus_storage::{device_sightings::Sighting, devices::Device};
use ruma::{DeviceId, UserId};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    sessions::{check_device_name, delete_sessions},
    sightings::list_sightings,
    uia,
};
use crate::{Ctx, Requester, ServiceError, error::Refusal, ids::new_command};

/// Most devices that one request deletes.
const DELETED_AT_ONCE_MAX: usize = 1_000;

/// The requester's devices, as clients get them.
pub async fn list_devices(ctx: &Ctx, requester: &Requester) -> Result<Vec<Value>, ServiceError> {
    let seen = list_sightings(ctx, requester.user).await?;
    let devices = ctx.store.devices(requester.user).await?;
    let shown = |device| show_device(device, seen.get(&device.device_id));
    Ok(devices.iter().map(shown).collect())
}

/// One of the requester's devices, as clients get it.
pub async fn get_device(ctx: &Ctx, requester: &Requester, device_id: &DeviceId) -> Result<Value, ServiceError> {
    let device = ctx.store.device(requester.user, device_id).await?;
    let device = device.ok_or_else(|| ServiceError::not_found("there is no such device"))?;
    let seen = list_sightings(ctx, requester.user).await?;
    Ok(show_device(&device, seen.get(device_id)))
}

fn show_device(device: &Device, seen: Option<&Sighting>) -> Value {
    let mut shown = json!({"device_id": device.device_id});
    if let Some(name) = &device.display_name {
        shown["display_name"] = name.as_str().into();
    }
    if let Some(seen) = seen {
        shown["last_seen_ip"] = seen.ip.as_str().into();
        shown["last_seen_ts"] = seen.seen_ms.into();
    }
    shown
}

/// Gives one of the requester's devices another name.
pub async fn rename_device(
    ctx: &Ctx,
    requester: &Requester,
    device_id: &DeviceId,
    display_name: Option<String>,
) -> Result<(), ServiceError> {
    check_device_name(display_name.as_deref().unwrap_or_default())?;
    let command = proto::RenameDevice {
        user_id: requester.user_id.to_string(),
        device_id: device_id.to_string(),
        display_name,
    };
    ctx.replica.run(new_command(Kind::RenameDevice(command))).await?;
    Ok(())
}

/// Removes devices of the requester, with everything that hangs on them, once he has proved that it is he.
pub async fn delete_devices(
    ctx: &Ctx,
    requester: &Requester,
    auth: Option<&Value>,
    mut device_ids: Vec<String>,
) -> Result<(), ServiceError> {
    if device_ids.len() > DELETED_AT_ONCE_MAX {
        return Err(ServiceError::invalid_param("too many devices at once"));
    }
    device_ids.sort_unstable();
    device_ids.dedup();
    uia::authorize(ctx, requester, auth, &deletion_of(&device_ids)).await?;
    if device_ids.is_empty() {
        return Ok(());
    }
    for device_id in &device_ids {
        ctx.sightings.forget(requester.user, device_id.as_str().into());
    }
    delete_sessions(ctx, requester, device_ids).await
}

/// What interactive authentication calls the deletion of just these devices.
fn deletion_of(device_ids: &[String]) -> String {
    let mut hash = Sha256::new();
    for id in device_ids {
        hash.update(id.len().to_le_bytes());
        hash.update(id);
    }
    let digest = hash.finalize();
    format!("DELETE /devices {}", URL_SAFE_NO_PAD.encode(digest))
}

/// Where and when a user's devices were seen: for himself and for administrators, <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3adminwhoisuserid>.
pub async fn who_is(ctx: &Ctx, requester: &Requester, user_id: &UserId) -> Result<Value, ServiceError> {
    if requester.user_id != user_id && !requester.admin {
        return Err(ServiceError::forbidden(
            "only the user himself and administrators see this",
        ));
    }
    let unknown = || ServiceError::refused(Refusal::NotFound, "there is no such user");
    let user = ctx.store.user_nid(user_id).await?.ok_or_else(unknown)?;
    ctx.store.account(user).await?.ok_or_else(unknown)?;
    let seen = list_sightings(ctx, user).await?;
    let mut devices = Map::new();
    for device in ctx.store.devices(user).await? {
        let connections: Vec<Value> = seen.get(&device.device_id).map(show_connection).into_iter().collect();
        let sessions = json!({"sessions": [{"connections": connections}]});
        devices.insert(device.device_id.to_string(), sessions);
    }
    Ok(json!({"user_id": user_id, "devices": devices}))
}

fn show_connection(seen: &Sighting) -> Value {
    json!({"ip": seen.ip, "last_seen": seen.seen_ms, "user_agent": seen.user_agent})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deletion_is_of_just_these_devices() {
        let of = |ids: &[&str]| deletion_of(&ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        for other in [&["a"][..], &["ab"], &["a", "bc"], &[]] {
            assert_ne!(of(&["a", "b"]), of(other), "{other:?}");
        }
    }
}
