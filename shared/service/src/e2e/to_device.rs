//! Sending messages to devices.

use std::collections::BTreeMap;

use plexus_core::event::hash::encode_url_safe_base64;
use plexus_proto::{self as proto, command::Kind};
use ruma::{OwnedServerName, OwnedUserId, ServerName};
use serde_json::value::RawValue;

use super::limits::{check_name, check_size};
use crate::{
    Ctx, Requester, ServiceError, error::Refusal, ids::transaction_command, users::sessions::DEVICE_ID_BYTES_MAX,
};

/// Most messages in one request, each for a device or for all devices of a user.
const MESSAGES_MAX: usize = 5_000;

/// Most bytes of messages in one piece, unless it is a single message.
const PIECE_BYTES_MAX: usize = 50_000;

/// What goes to each server.
type Remote = BTreeMap<OwnedServerName, Vec<(OwnedUserId, String, Box<RawValue>)>>;

/// What one EDU carries.
type Piece = BTreeMap<OwnedUserId, BTreeMap<String, Box<RawValue>>>;

/// Contents by user and device; the device `*` is all of the user's.
pub type Messages = BTreeMap<OwnedUserId, BTreeMap<String, Box<RawValue>>>;

/// Sends messages to devices, of other servers' users too. The same transaction again sends nothing.
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
    let mut remote = Remote::new();
    for (user_id, devices) in messages {
        for (device_id, content) in devices {
            check_size("a message", &content)?;
            if !content.get().starts_with('{') {
                return Err(ServiceError::bad_json("a message's content is a JSON object"));
            }
            // Too long to be any device's: as unknown as any other.
            if device_id.len() > DEVICE_ID_BYTES_MAX {
                continue;
            }
            if user_id.server_name() != ctx.config.server_name {
                let of_server = remote.entry(user_id.server_name().to_owned()).or_default();
                of_server.push((user_id.clone(), device_id, content));
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
        outgoing: Vec::new(),
    };
    let endpoint = ["sendToDevice", kind];
    let mut command = transaction_command(requester, &endpoint, transaction_id, Kind::SendToDevice(command));
    let outgoing = for_servers(&command.id, remote)?;
    if let Some(Kind::SendToDevice(command)) = &mut command.kind {
        command.outgoing = outgoing;
    }
    ctx.replica.run(command).await?;
    Ok(())
}

/// Puts what goes to each server into pieces that one EDU can carry.
fn for_servers(command_id: &[u8], remote: Remote) -> Result<Vec<proto::OutgoingMessages>, ServiceError> {
    let mut outgoing = Vec::new();
    for (server, messages) in remote {
        let mut piece = Piece::default();
        let mut bytes = 0;
        for (user_id, device_id, content) in messages {
            let weight = user_id.as_str().len() + device_id.len() + content.get().len();
            if bytes > 0 && bytes + weight > PIECE_BYTES_MAX {
                outgoing.push(written(command_id, outgoing.len(), &server, &piece)?);
                piece.clear();
                bytes = 0;
            }
            bytes += weight;
            piece.entry(user_id).or_default().insert(device_id, content);
        }
        outgoing.push(written(command_id, outgoing.len(), &server, &piece)?);
    }
    Ok(outgoing)
}

/// The id is made of the Command's, so that the same transaction again has the same; ids have 32 characters at most.
fn written(
    command_id: &[u8],
    number: usize,
    server: &ServerName,
    piece: &Piece,
) -> Result<proto::OutgoingMessages, ServiceError> {
    let messages = serde_json::to_vec(piece).map_err(ServiceError::internal)?;
    Ok(proto::OutgoingMessages {
        server: server.to_string(),
        message_id: format!("{}.{number}", encode_url_safe_base64(command_id)),
        messages: messages.into(),
    })
}
