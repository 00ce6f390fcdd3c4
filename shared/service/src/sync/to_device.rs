//! Messages to the device.
//!
//! A message stays in the database until the device has shown, by asking from after the answer that had it, that it got that answer. Whether any message
//! waits is known in memory: a device without messages costs no query.

use std::time::Duration;

use metrics::counter;
use plexus_core::{event::json::write_string, token::SyncToken};
use plexus_proto::{AcknowledgeToDevice, command::Kind};
use plexus_storage::to_device::WaitingMessage;
use ruma::UserId;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::{event::push_comma, scope::Scope};
use crate::{Ctx, Requester, ServiceError, ids::new_command};

/// Most messages in one answer.
const MESSAGES_MAX: i64 = 100;

/// How long an answer waits for the master to remove what was acknowledged. What is not removed then is removed at the next sync.
const ACKNOWLEDGE_PATIENCE: Duration = Duration::from_secs(1);

/// Stored messages that are no JSON and were passed over.
const BROKEN_TOTAL: &str = "plexus_to_device_broken_total";

/// What has been told.
pub(super) struct ToDevice {
    /// Whether there were any.
    pub(super) has_news: bool,
    /// The place of the last message told, which the device's next `since` acknowledges.
    pub(super) told: i64,
}

/// Has the messages removed that the device got with the answer `since` comes from. Nothing is asked of anybody if there are none.
pub(super) async fn acknowledge(ctx: &Ctx, requester: &Requester, since: &SyncToken) -> Result<(), ServiceError> {
    let up_to = since.to_device;
    let waiting = ctx
        .store
        .to_device_waiting(requester.user, &requester.device_id)
        .await?;
    if waiting.is_none_or(|waiting| waiting.first > up_to) {
        return Ok(());
    }
    let command = Kind::AcknowledgeToDevice(AcknowledgeToDevice {
        user_id: requester.user_id.to_string(),
        device_id: requester.device_id.to_string(),
        up_to,
    });
    match timeout(ACKNOWLEDGE_PATIENCE, ctx.replica.run(new_command(command))).await {
        Ok(Ok(_)) => {}
        // They are not told again for all that: this answer begins after them.
        Ok(Err(error)) => tracing::debug!(%error, "messages to a device were not removed"),
        Err(_) => tracing::debug!("messages to a device were not removed in time"),
    }
    Ok(())
}

/// Appends the member `to_device`.
pub(super) async fn write(scope: &Scope<'_>, out: &mut Vec<u8>) -> Result<ToDevice, ServiceError> {
    let nothing = ToDevice {
        has_news: false,
        told: scope.window.to_device,
    };
    let (user, device_id) = (scope.requester.user, &scope.requester.device_id);
    let after = scope.window.to_device;
    let waiting = scope.ctx.store.to_device_waiting(user, device_id).await?;
    if waiting.is_none_or(|waiting| waiting.last <= after) {
        return Ok(nothing);
    }
    let up_to = scope.window.up_to;
    let messages = scope
        .ctx
        .store
        .to_device_messages(user, device_id, after, up_to, MESSAGES_MAX)
        .await?;
    let Some(last) = messages.last() else {
        return Ok(nothing);
    };
    let senders: Vec<_> = messages.iter().map(|message| message.sender).collect();
    let senders = scope.ctx.store.user_ids(&senders).await?;
    push_comma(out);
    out.extend_from_slice(b"\"to_device\":{\"events\":[");
    for (message, sender) in messages.iter().zip(&senders) {
        write_message(message, sender.as_deref(), out);
    }
    out.extend_from_slice(b"]}");
    Ok(ToDevice {
        has_news: true,
        told: last.position,
    })
}

/// Appends a message; nothing if it cannot be read: one bad row must not keep the device from all others.
fn write_message(message: &WaitingMessage, sender: Option<&UserId>, out: &mut Vec<u8>) {
    let content: Option<&RawValue> = serde_json::from_slice(&message.content).ok();
    let Some((sender, content)) = sender.zip(content) else {
        counter!(BROKEN_TOTAL).increment(1);
        return;
    };
    push_comma(out);
    out.extend_from_slice(b"{\"content\":");
    out.extend_from_slice(content.get().as_bytes());
    out.extend_from_slice(b",\"sender\":");
    write_string(out, sender.as_str());
    out.extend_from_slice(b",\"type\":");
    write_string(out, &message.kind);
    out.push(b'}');
}
