//! The devices of local users.

use plexus_core::{ids::UserNid, row::Row};
use plexus_proto::RenameDevice;
use plexus_storage::{access_tokens, device_sightings, devices, pushers, refresh_tokens};
use ruma::DeviceId;

use super::{
    Decision,
    account::local_account,
    keys::{mark_device_list, remove_keys_of_device},
};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, not_found},
    leader::Leader,
};

/// Removes a device and everything that hangs on it. Whatever else belongs to a device is removed here too, by whoever adds it.
pub(super) fn delete_device(change: &mut ChangeSet, user: UserNid, device_id: &DeviceId) {
    remove_keys_of_device(user, device_id, change);
    change.statements.extend([
        refresh_tokens::delete_of_device(user, device_id),
        access_tokens::delete_of_device(user, device_id),
        device_sightings::delete(user, device_id),
        pushers::delete_of_device(user, device_id),
        devices::delete(user, device_id),
    ]);
    change.rows.push(Row::Device {
        user,
        device: device_id.to_owned(),
        deleted: true,
    });
}

/// Changes what a user calls a device, which others see too.
pub(super) async fn rename_device(leader: &Leader, command: &RenameDevice) -> Result<Decision, CommandError> {
    let user = local_account(leader, &command.user_id).await?;
    let device_id: &DeviceId = command.device_id.as_str().into();
    let device = leader.store.device(user, device_id).await?;
    let device = device.ok_or_else(|| not_found("There is no such device"))?;
    let mut decision = Decision::default();
    if device.display_name == command.display_name {
        return Ok(decision);
    }
    let change = &mut decision.change;
    let name = command.display_name.as_deref();
    change.statements.push(devices::rename(user, device_id, name));
    change.rows.push(Row::Device {
        user,
        device: device_id.to_owned(),
        deleted: false,
    });
    mark_device_list(user, Some(device_id), change);
    Ok(decision)
}
