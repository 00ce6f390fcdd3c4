//! Read receipts.

use plexus_core::row::ReceiptKind;
use plexus_proto::{self as proto, command::Kind};
use ruma::{EventId, RoomId};

use super::access;
use crate::{Ctx, Requester, ServiceError, ids::new_command};

/// Moves the requester's receipt to an event of the room, in the main timeline or in a thread.
pub async fn set_receipt(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    kind: ReceiptKind,
    thread: Option<&str>,
    event_id: &EventId,
) -> Result<(), ServiceError> {
    if let Some(thread) = thread
        && thread != "main"
        && (EventId::parse(thread).is_err() || thread.contains('\0'))
    {
        return Err(ServiceError::invalid_param(
            "thread_id is neither \"main\" nor an event id",
        ));
    }
    let room = access::require_joined(ctx, requester, room_id).await?;
    if ctx.store.event_nid(room.nid, event_id).await?.is_none() {
        return Err(ServiceError::not_found("the room has no such event"));
    }
    let command = proto::SetReceipt {
        room_id: room_id.to_string(),
        user_id: requester.user_id.to_string(),
        kind: code(kind),
        thread: thread.map(str::to_owned),
        event_id: event_id.to_string(),
        ts_ms: None,
    };
    ctx.replica.run(new_command(Kind::SetReceipt(command))).await?;
    Ok(())
}

/// The kind as Commands carry it.
fn code(kind: ReceiptKind) -> i64 {
    match kind {
        ReceiptKind::Read => 1,
        ReceiptKind::ReadPrivate => 2,
    }
}

/// Moves the requester's marker of what he has read of the room.
pub async fn set_fully_read(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<(), ServiceError> {
    access::require_joined(ctx, requester, room_id).await?;
    let command = proto::SetFullyRead {
        user_id: requester.user_id.to_string(),
        room_id: room_id.to_string(),
        event_id: event_id.to_string(),
    };
    ctx.replica.run(new_command(Kind::SetFullyRead(command))).await?;
    Ok(())
}
