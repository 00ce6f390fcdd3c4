//! Asking for whole lists.

use std::sync::Arc;

use plexus_core::position::WriterId;
use plexus_proto::{SetRemoteDevices, command::Kind};
use plexus_storage::remote_devices::REMOTE_DEVICES_MAX;
use ruma::{OwnedUserId, UserId};

use super::check;
use crate::{Ctx, ServiceError, ids::new_command};

/// Asks a user's server for the list of his devices, and keeps it. Says whether there is one now; whoever wants the same at once gets it too.
pub async fn fetch(ctx: &Ctx, user_id: &UserId) -> bool {
    fetch_for(ctx, user_id.to_owned(), None).await
}

/// The same by and by, for a change that was told. What changed while an earlier answer was on its way is not in it, so it is asked for by the change.
pub(super) fn fetch_soon(ctx: &Ctx, user_id: OwnedUserId, stream_id: Option<i64>) {
    let lists = &ctx.device_lists.0;
    let Ok(place) = Arc::clone(&lists.waiting).try_acquire_owned() else {
        return;
    };
    let (spawn, ctx) = (Arc::clone(&lists.spawn), ctx.clone());
    spawn(Box::pin(async move {
        // Closed it never is. Whoever asks for himself does not wait for these, which slow servers may keep for long.
        let turn = ctx.device_lists.0.turns.acquire().await;
        fetch_for(&ctx, user_id, stream_id).await;
        drop((turn, place));
    }));
}

async fn fetch_for(ctx: &Ctx, user_id: OwnedUserId, stream_id: Option<i64>) -> bool {
    let (fetching, user) = (ctx.clone(), user_id.clone());
    let fetch = || async move {
        match fetch_now(&fetching, &user).await {
            Ok(()) => true,
            Err(error) => {
                tracing::info!(user.id = %user, %error, "the devices of a user of another server cannot be had");
                false
            }
        }
    };
    let fetched = ctx.device_lists.0.fetches.join((user_id, stream_id), fetch).await;
    fetched == Some(true)
}

async fn fetch_now(ctx: &Ctx, user_id: &UserId) -> Result<(), ServiceError> {
    let as_of = ctx.replica.position().get(WriterId::MASTER);
    let list = ctx.federation.fetch_devices(user_id).await?;
    let devices = list.devices.into_iter().filter_map(|device| {
        let keys = device.keys?;
        check::device(user_id, device.device_id, device.device_display_name, &keys)
    });
    let mut devices: Vec<_> = devices.take(REMOTE_DEVICES_MAX).collect();
    devices.sort_by(|left, right| left.device_id.cmp(&right.device_id));
    devices.dedup_by(|left, right| left.device_id == right.device_id);
    let key = |key: Option<Box<serde_json::value::RawValue>>| key.and_then(|key| check::signing_key(user_id, &key));
    let command = SetRemoteDevices {
        user_id: user_id.to_string(),
        stream_id: list.stream_id,
        as_of,
        devices,
        master: key(list.master_key),
        self_signing: key(list.self_signing_key),
    };
    ctx.replica.run(new_command(Kind::SetRemoteDevices(command))).await?;
    Ok(())
}
