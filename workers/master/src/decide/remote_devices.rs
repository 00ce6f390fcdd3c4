//! Devices of users of other servers, as their servers tell of them.
//!
//! A list is moved from one change to the next only: each statement says from where. So of two changes in one turn of the lane the second one, decided on
//! what the first has not written yet, fails the turn, and both are decided again one by one.

use plexus_core::{ids::UserNid, row::Row};
use plexus_proto::{self as proto, ChangeRemoteDevices, CommandResult, SetRemoteDevices};
use plexus_storage::{
    cross_signing_keys::{self, CrossSigningKey, Usage},
    key_signatures,
    remote_devices::{self, REMOTE_DEVICES_MAX, RemoteDevice, RemoteDeviceList},
};

use super::{Decision, cross_signing::replace, event::user_id, keys::mark_remote_device_list};
use crate::{change_set::ChangeSet, error::CommandError, leader::Leader};

/// Sets the whole list of a user.
pub(super) async fn set_devices(leader: &Leader, command: &SetRemoteDevices) -> Result<Decision, CommandError> {
    let user_id = remote(leader, &command.user_id)?;
    if command.devices.len() > REMOTE_DEVICES_MAX {
        return Err(CommandError::Malformed("too many devices"));
    }
    let mut change = ChangeSet::default();
    let user = leader.interner.user(user_id).await?.with(&mut change.statements);
    let before = known(leader, user).await?;
    if before
        .is_some_and(|before| !before.stale && before.stream_id > command.stream_id && before.as_of >= command.as_of)
    {
        // What came meanwhile is newer than the answer.
        return Ok(Decision::default());
    }
    let differs = differs(leader, user, command).await?;
    change.statements.push(remote_devices::upsert_list(&RemoteDeviceList {
        user,
        stream_id: command.stream_id,
        as_of: command.as_of,
        stale: false,
    }));
    if differs {
        change.statements.push(remote_devices::delete_all(user));
        let devices = command.devices.iter().map(|device| upsert(user, device));
        change.statements.extend(devices);
    }
    let keys = set_keys(
        leader,
        user,
        (&command.master, &command.self_signing),
        true,
        &mut change,
    )
    .await?;
    if before.is_some() && (differs || keys) {
        mark_remote_device_list(user, &mut change);
    } else {
        // Who has come to share a room with the user knows that there is something to ask for. A commit has a row; this one tells nobody here.
        change.rows.push(Row::KeyView { user, viewer: user });
    }
    Ok(Decision {
        change,
        ..Decision::default()
    })
}

/// Applies what a server tells of a change.
pub(super) async fn change_devices(leader: &Leader, command: &ChangeRemoteDevices) -> Result<Decision, CommandError> {
    let user_id = remote(leader, &command.user_id)?;
    let Some(user) = leader.store.user_nid(user_id).await? else {
        // Nobody here has ever met him.
        return Ok(answer(ChangeSet::default(), false));
    };
    let mut change = ChangeSet::default();
    let before = known(leader, user).await?;
    let Some(before) = before.filter(|before| !before.stale) else {
        mark_remote_device_list(user, &mut change);
        return Ok(answer(change, true));
    };
    if let Some(stream_id) = command.stream_id {
        if stream_id <= before.stream_id {
            return Ok(answer(change, false));
        }
        let is_next = !command.previous.is_empty() && command.previous.iter().all(|id| *id <= before.stream_id);
        if !is_next {
            let stale = remote_devices::change_list(&before, before.stream_id, true);
            change.statements.push(stale);
            mark_remote_device_list(user, &mut change);
            return Ok(answer(change, true));
        }
        change
            .statements
            .push(remote_devices::change_list(&before, stream_id, false));
    }
    if let Some(device) = &command.device {
        change.statements.push(upsert(user, device));
    }
    if let Some(deleted) = &command.deleted {
        change.statements.extend([
            remote_devices::delete(user, deleted.as_str().into()),
            key_signatures::delete_of_target(user, deleted),
        ]);
    }
    set_keys(
        leader,
        user,
        (&command.master, &command.self_signing),
        false,
        &mut change,
    )
    .await?;
    mark_remote_device_list(user, &mut change);
    Ok(answer(change, false))
}

/// A user of another server.
fn remote<'a>(leader: &Leader, id: &'a str) -> Result<&'a ruma::UserId, CommandError> {
    let user_id = user_id(id)?;
    if user_id.server_name() == leader.server_name {
        return Err(CommandError::Malformed("the user is of this server"));
    }
    Ok(user_id)
}

async fn known(leader: &Leader, user: UserNid) -> Result<Option<RemoteDeviceList>, CommandError> {
    Ok(leader.store.remote_device_lists(&[user]).await?.pop())
}

/// Whether the devices are others than those that are kept.
async fn differs(leader: &Leader, user: UserNid, command: &SetRemoteDevices) -> Result<bool, CommandError> {
    let kept = leader.store.remote_devices(&[user]).await?;
    let is_kept = |device: &proto::RemoteDevice| {
        kept.iter().any(|kept| {
            kept.device_id == *device.device_id.as_str()
                && kept.display_name == device.display_name
                && kept.json == device.keys
        })
    };
    Ok(kept.len() != command.devices.len() || !command.devices.iter().all(is_kept))
}

/// Sets cross-signing keys; of a whole list, those that are not given are gone. Says whether anything changes.
async fn set_keys(
    leader: &Leader,
    user: UserNid,
    (master, self_signing): (&Option<proto::CrossSigningKey>, &Option<proto::CrossSigningKey>),
    whole: bool,
    change: &mut ChangeSet,
) -> Result<bool, CommandError> {
    let stored: Vec<CrossSigningKey> = leader.store.cross_signing_keys(&[user]).await?;
    let mut changes = false;
    for (usage, key) in [(Usage::Master, master), (Usage::SelfSigning, self_signing)] {
        let before = stored.iter().find(|stored| stored.usage == usage);
        match (before, key) {
            (Some(before), Some(key)) if before.json == key.json => continue,
            (None, None) => continue,
            (Some(_), None) if !whole => continue,
            (before, Some(key)) => replace(user, usage, before, key, change),
            (Some(before), None) => change.statements.extend([
                key_signatures::delete_of_target(user, &before.key_id),
                cross_signing_keys::delete(user, usage),
            ]),
        }
        changes = true;
    }
    Ok(changes)
}

fn upsert(user: UserNid, device: &proto::RemoteDevice) -> plexus_storage::db::Statement {
    remote_devices::upsert(
        user,
        &RemoteDevice {
            device_id: device.device_id.as_str().into(),
            display_name: device.display_name.as_deref(),
            json: &device.keys,
        },
    )
}

fn answer(change: ChangeSet, ask_again: bool) -> Decision {
    let result = CommandResult {
        json: Some(ask_again.to_string().into()),
        ..CommandResult::default()
    };
    Decision { change, result }
}
