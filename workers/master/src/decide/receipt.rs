//! Read receipts.

use plexus_core::row::{Membership, ReceiptKind, ReceiptRow, Row};
use plexus_proto::SetReceipt;
use plexus_storage::receipts;
use ruma::EventId;

use super::{
    Decision,
    event::user_id,
    head::{PendingHead, Reader},
};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, not_found, outsider},
    leader::Leader,
};

/// A member has read up to an event. A receipt never moves back.
pub(super) async fn set_receipt(
    leader: &Leader,
    head: &mut PendingHead,
    command: &SetReceipt,
) -> Result<Decision, CommandError> {
    let user_id = user_id(&command.user_id)?;
    let member = head.state_event(leader, "m.room.member", user_id.as_str()).await?;
    if member.and_then(|event| event.membership()) != Some(Membership::Join) {
        return Err(outsider());
    }
    let user = leader
        .store
        .user_nid(user_id)
        .await?
        .ok_or(CommandError::Damaged("a member without a number"))?;
    let kind = ReceiptKind::from_code(command.kind).ok_or(CommandError::Malformed("receipt kind"))?;
    let unknown = || not_found("There is no such event in this room");
    let event_id = EventId::parse(command.event_id.as_str()).map_err(|_| unknown())?;
    let order = room_order(leader, head, &event_id).await?.ok_or_else(unknown)?;
    let reader = (user, kind, command.thread.clone());
    if read_up_to(leader, head, &reader).await? >= Some(order) {
        return Ok(Decision::default());
    }
    let row = ReceiptRow {
        room: head.info.nid,
        user,
        kind,
        thread: command.thread.clone(),
        event_id,
        ts_ms: command.ts_ms.unwrap_or_else(|| leader.clock.now_ms()),
    };
    let mut change = ChangeSet::default();
    change.statements.push(receipts::upsert(&row, change.next_sequence()));
    change.rows.push(Row::Receipt(row));
    head.move_receipt(reader, order);
    Ok(Decision {
        change,
        ..Decision::default()
    })
}

/// The room order of a reader's receipt.
async fn read_up_to(leader: &Leader, head: &PendingHead, reader: &Reader) -> Result<Option<i64>, CommandError> {
    if let Some(order) = head.receipt(reader) {
        return Ok(Some(order));
    }
    let (user, kind, thread) = reader;
    let receipts = leader.store.receipts(head.info.nid).await?;
    match receipts.get(*user, *kind, thread.as_deref()) {
        Some((_, receipt)) => room_order(leader, head, &receipt.event_id).await,
        None => Ok(None),
    }
}

async fn room_order(leader: &Leader, head: &PendingHead, event_id: &EventId) -> Result<Option<i64>, CommandError> {
    let Some(nid) = leader.store.event_nid(head.info.nid, event_id).await? else {
        return Ok(None);
    };
    let event = leader.store.event(nid).await?;
    Ok(event.and_then(|event| event.room_order))
}
