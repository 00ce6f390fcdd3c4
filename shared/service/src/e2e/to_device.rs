//! Sending messages to devices.

use std::collections::BTreeMap;

use plexus_proto::{self as proto, command::Kind};
use ruma::OwnedUserId;
use serde_json::value::RawValue;

use super::limits::{check_name, check_size};
use crate::{
    Ctx, Requester, ServiceError, error::Refusal, ids::transaction_command, users::sessions::DEVICE_ID_BYTES_MAX,
};

/// Most messages in one request, each for a device or for all devices of a user.
const MESSAGES_MAX: usize = 5_000;

/// Contents by user and device; the device `*` is all of the user's.
pub type Messages = BTreeMap<OwnedUserId, BTreeMap<String, Box<RawValue>>>;

/// Sends messages to devices of this server's users. The same transaction again sends nothing.
pub async fn send_to_device(
    ctx: &Ctx,
    requester: &Requester,
    kind: &str,
    transaction_id: &str,
    messages: Messages,
) -> Result<(), ServiceError> {
    check_name("the event type", kind)?;
    check_name("the transaction id", transaction_id)?;
    if messages.values().map(BTreeMap::len).sum::<usize>() > MESSAGES_MAX {
        return Err(ServiceError::refused(
            Refusal::TooLarge,
            format!("one request sends {MESSAGES_MAX} messages at most"),
        ));
    }
    let mut queued = Vec::new();
    for (user_id, devices) in messages {
        for (device_id, content) in devices {
            check_size("a message", &content)?;
            if !content.get().starts_with('{') {
                return Err(ServiceError::bad_json("a message's content is a JSON object"));
            }
            // Too long to be any device's: as unknown as any other.
            if device_id.len() > DEVICE_ID_BYTES_MAX || user_id.server_name() != ctx.config.server_name {
                continue;
            }
            queued.push(proto::ToDeviceMessage {
                user_id: user_id.to_string(),
                device_id,
                content: content.get().to_owned().into(),
            });
        }
    }
    let command = proto::SendToDevice {
        sender: requester.user_id.to_string(),
        kind: kind.to_owned(),
        messages: queued,
    };
    let endpoint = ["sendToDevice", kind];
    let command = transaction_command(requester, &endpoint, transaction_id, Kind::SendToDevice(command));
    ctx.replica.run(command).await?;
    Ok(())
}
