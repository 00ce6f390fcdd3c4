//! Messages to devices: each is queued once, however often it comes.

use bytes::Bytes;
use plexus_proto::{self as proto, command::Kind};
use ruma::{OwnedUserId, ServerName};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::{PassedOver, count, must_arrive, own, parse};
use crate::{
    Ctx, ServiceError,
    e2e::{
        limits::{check_name, check_size},
        to_device::Messages,
    },
    users::sessions::DEVICE_ID_BYTES_MAX,
};

/// Messages of one EDU that are taken, each for a device or for all devices of a user.
const MESSAGES_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
struct DirectToDevice {
    sender: OwnedUserId,
    #[serde(rename = "type")]
    kind: String,
    message_id: String,
    messages: Messages,
}

/// `place` is where the EDU stands: its transaction, and its number in that.
pub(super) async fn receive(
    ctx: &Ctx,
    origin: &ServerName,
    place: (&str, usize),
    content: &RawValue,
) -> Result<(), ServiceError> {
    let read = read(ctx, origin, place, content);
    count("m.direct_to_device", read.as_ref().map(|_| ()).map_err(|why| *why));
    match read {
        Ok(command) => must_arrive(ctx.replica.run(command).await.map(|_| ()).map_err(Into::into)),
        Err(_) => Ok(()),
    }
}

fn read(
    ctx: &Ctx,
    origin: &ServerName,
    place: (&str, usize),
    content: &RawValue,
) -> Result<proto::Command, PassedOver> {
    let direct: DirectToDevice = parse(content)?;
    own(origin, &direct.sender)?;
    check_name("the event type", &direct.kind).map_err(|_| PassedOver::Malformed)?;
    let id = command_id(origin, &direct, place);
    let mut messages = Vec::new();
    for (user_id, devices) in direct.messages {
        if user_id.server_name() != ctx.config.server_name {
            continue;
        }
        for (device_id, content) in devices {
            let is_message = content.get().starts_with('{') && check_size("a message", &content).is_ok();
            if !is_message || device_id.len() > DEVICE_ID_BYTES_MAX || device_id.contains('\0') {
                return Err(PassedOver::Malformed);
            }
            messages.push(proto::ToDeviceMessage {
                user_id: user_id.to_string(),
                device_id,
                content: content.get().to_owned().into(),
            });
        }
    }
    if messages.len() > MESSAGES_MAX {
        return Err(PassedOver::TooMuch);
    }
    let send = proto::SendToDevice {
        sender: direct.sender.into(),
        kind: direct.kind,
        messages,
        outgoing: Vec::new(),
    };
    Ok(proto::Command {
        id,
        kind: Some(Kind::SendToDevice(send)),
        task: None,
    })
}

/// The same message gets the same id, by which the master does it once: the sender's own id for it, or else its place in the transaction.
fn command_id(origin: &ServerName, direct: &DirectToDevice, (transaction_id, index): (&str, usize)) -> Bytes {
    let mut hash = Sha256::new();
    let index = index.to_string();
    let parts: &[&str] = if direct.message_id.is_empty() {
        &["m.direct_to_device", origin.as_str(), transaction_id, &index]
    } else {
        let sender = direct.sender.as_str();
        &[
            "m.direct_to_device",
            origin.as_str(),
            sender,
            &direct.kind,
            &direct.message_id,
        ]
    };
    for part in parts {
        // Lengths keep ("ab", "c") and ("a", "bc") apart.
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    Bytes::copy_from_slice(&hash.finalize()[..16])
}
