//! Sending events.

use plexus_proto::{self as proto, command::Kind};
use ruma::{EventId, OwnedEventId, RoomId};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{
    aliases::check_canonical,
    membership::{as_change, change_membership},
};
use crate::{
    Ctx, Requester, ServiceError,
    ids::{command, new_command},
};

/// Longest transaction id, in bytes: as long as any other identifier may be.
const TRANSACTION_ID_BYTES_MAX: usize = 255;

/// Sends an event that is not state. The same transaction again gives the same event; without one, every call is an event of its own.
pub async fn send_event(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    kind: &str,
    transaction_id: Option<&str>,
    content: &RawValue,
) -> Result<OwnedEventId, ServiceError> {
    check_tombstone(room_id, kind, content)?;
    let event = proto::SendEvent {
        transaction: transaction(requester, transaction_id)?,
        redacts: redacted_by(kind, content)?,
        ..plan_event(requester, room_id, kind, content)?
    };
    let endpoint = ["send", room_id.as_str(), kind];
    run(
        ctx,
        command(requester, &endpoint, transaction_id, Kind::SendEvent(event)),
    )
    .await
}

/// A room cannot replace itself.
fn check_tombstone(room_id: &RoomId, kind: &str, content: &RawValue) -> Result<(), ServiceError> {
    #[derive(Deserialize)]
    struct Tombstone {
        replacement_room: String,
    }
    if kind != "m.room.tombstone" {
        return Ok(());
    }
    match serde_json::from_str::<Tombstone>(content.get()) {
        Ok(tombstone) if tombstone.replacement_room == room_id.as_str() => {
            Err(ServiceError::invalid_param("a room cannot replace itself"))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What a redaction redacts that is sent like any other event: its content says so, wherever the room's version wants it.
fn redacted_by(kind: &str, content: &RawValue) -> Result<Option<String>, ServiceError> {
    #[derive(Deserialize)]
    struct Redaction {
        redacts: String,
    }
    if kind != "m.room.redaction" {
        return Ok(None);
    }
    let redaction: Redaction = serde_json::from_str(content.get())
        .map_err(|_| ServiceError::bad_json("a redaction's content names the event it redacts, in `redacts`"))?;
    Ok(Some(redaction.redacts))
}

/// Sends a state event.
pub async fn send_state(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    kind: &str,
    state_key: &str,
    content: &RawValue,
) -> Result<OwnedEventId, ServiceError> {
    check_tombstone(room_id, kind, content)?;
    if kind == "m.room.canonical_alias" && state_key.is_empty() {
        check_canonical(ctx, room_id, content).await?;
    }
    if kind == "m.room.member"
        && let Some(change) = as_change(requester, room_id, state_key, content)
    {
        return change_membership(ctx, requester, change).await;
    }
    let event = proto::SendEvent {
        state_key: Some(state_key.to_owned()),
        ..plan_event(requester, room_id, kind, content)?
    };
    run(ctx, new_command(Kind::SendEvent(event))).await
}

/// Redacts an event. The same transaction again gives the same redaction.
pub async fn redact_event(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    redacts: &EventId,
    transaction_id: Option<&str>,
    reason: Option<&str>,
) -> Result<OwnedEventId, ServiceError> {
    let content = reason.map_or_else(|| json!({}), |reason| json!({"reason": reason}));
    let event = proto::SendEvent {
        room_id: room_id.to_string(),
        sender: requester.user_id.to_string(),
        kind: "m.room.redaction".to_owned(),
        state_key: None,
        content: content.to_string().into(),
        redacts: Some(redacts.to_string()),
        transaction: transaction(requester, transaction_id)?,
    };
    let endpoint = ["redact", room_id.as_str(), redacts.as_str()];
    run(
        ctx,
        command(requester, &endpoint, transaction_id, Kind::SendEvent(event)),
    )
    .await
}

fn plan_event(
    requester: &Requester,
    room_id: &RoomId,
    kind: &str,
    content: &RawValue,
) -> Result<proto::SendEvent, ServiceError> {
    if !content.get().starts_with('{') {
        return Err(ServiceError::bad_json("an event's content is a JSON object"));
    }
    Ok(proto::SendEvent {
        room_id: room_id.to_string(),
        sender: requester.user_id.to_string(),
        kind: kind.to_owned(),
        state_key: None,
        content: content.get().to_owned().into(),
        redacts: None,
        transaction: None,
    })
}

fn transaction(requester: &Requester, id: Option<&str>) -> Result<Option<proto::Transaction>, ServiceError> {
    let Some(id) = id else { return Ok(None) };
    if id.len() > TRANSACTION_ID_BYTES_MAX {
        return Err(ServiceError::invalid_param("the transaction id is too long"));
    }
    Ok(Some(proto::Transaction {
        device_id: requester.device_id.to_string(),
        id: id.to_owned(),
    }))
}

async fn run(ctx: &Ctx, command: proto::Command) -> Result<OwnedEventId, ServiceError> {
    let result = ctx.replica.run(command).await?;
    let event_id = result
        .event_id
        .ok_or_else(|| ServiceError::internal("the master named no event"))?;
    EventId::parse(event_id).map_err(ServiceError::internal)
}
