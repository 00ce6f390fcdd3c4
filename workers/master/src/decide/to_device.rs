//! Messages to devices: queued for each device until it has acknowledged them.

use std::collections::HashMap;

use plexus_core::{ids::UserNid, row::Row};
use plexus_proto::{AcknowledgeToDevice, SendToDevice};
use plexus_storage::{outgoing_to_device, to_device};
use ruma::{OwnedDeviceId, ServerName, UserId};

use super::{Decision, account::local_account, event::user_id};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, too_large},
    leader::Leader,
};

/// Messages that one Command may queue, `*` counted as the devices it is for.
const QUEUED_MAX: usize = 5_000;

/// Queues messages. Users and devices that are not there are passed over.
pub(super) async fn send(leader: &Leader, command: &SendToDevice) -> Result<Decision, CommandError> {
    let mut change = ChangeSet::default();
    let sender = sender(leader, &command.sender, &mut change).await?;
    let mut users: HashMap<&str, UserNid> = HashMap::new();
    for message in &command.messages {
        let user_id: Result<&UserId, _> = message.user_id.as_str().try_into();
        if let Ok(user_id) = user_id
            && let Some(user) = leader.store.user_nid(user_id).await?
        {
            users.insert(&message.user_id, user);
        }
    }
    let nids: Vec<UserNid> = users.values().copied().collect();
    let mut devices: HashMap<UserNid, Vec<OwnedDeviceId>> = HashMap::new();
    for (user, device) in leader.store.device_ids(&nids).await? {
        devices.entry(user).or_default().push(device);
    }
    queue_outgoing(sender, command, &mut change)?;
    for message in &command.messages {
        let Some(user) = users.get(message.user_id.as_str()) else {
            continue;
        };
        let everywhere = message.device_id == "*";
        let known = devices.get(user).into_iter().flatten();
        for device in known.filter(|device| everywhere || device.as_str() == message.device_id) {
            if change.rows.len() == QUEUED_MAX {
                return Err(too_large(format!("One request sends {QUEUED_MAX} messages at most")));
            }
            let position = change.next_sequence();
            change.statements.push(to_device::insert(
                *user,
                device,
                position,
                sender,
                &command.kind,
                &message.content,
            ));
            change.rows.push(Row::ToDevice {
                user: *user,
                device: device.clone(),
            });
        }
    }
    if change.rows.is_empty() {
        return Ok(Decision::default());
    }
    Ok(Decision {
        change,
        ..Decision::default()
    })
}

/// Who sends: a user with an account, or one of another server, for whom his server has spoken.
async fn sender(leader: &Leader, id: &str, change: &mut ChangeSet) -> Result<UserNid, CommandError> {
    let user_id = user_id(id)?;
    if user_id.server_name() == leader.server_name {
        return local_account(leader, id).await;
    }
    Ok(leader.interner.user(user_id).await?.with(&mut change.statements))
}

/// Queues what goes to other servers.
fn queue_outgoing(sender: UserNid, command: &SendToDevice, change: &mut ChangeSet) -> Result<(), CommandError> {
    for outgoing in &command.outgoing {
        let server = <&ServerName>::try_from(outgoing.server.as_str());
        let server = server.map_err(|_| CommandError::Malformed("server"))?;
        let position = change.next_sequence();
        let content = (outgoing.message_id.as_str(), &*outgoing.messages);
        let insert = outgoing_to_device::insert(server, position, sender, &command.kind, content);
        change.statements.push(insert);
        change.rows.push(Row::OutgoingToDevice {
            server: server.to_owned(),
        });
    }
    Ok(())
}

/// A device has got its messages up to a place.
pub(super) async fn acknowledge(leader: &Leader, command: &AcknowledgeToDevice) -> Result<Decision, CommandError> {
    let user = local_account(leader, &command.user_id).await?;
    let device: OwnedDeviceId = command.device_id.as_str().into();
    let waiting = leader.store.to_device_waiting(user, &device).await?;
    if waiting.is_none_or(|waiting| waiting.first > command.up_to) {
        return Ok(Decision::default());
    }
    let mut change = ChangeSet::default();
    change
        .statements
        .push(to_device::delete_up_to(user, &device, command.up_to));
    change.rows.push(Row::ToDevice { user, device });
    Ok(Decision {
        change,
        ..Decision::default()
    })
}
