//! Reading one event.

use std::sync::Arc;

use plexus_storage::events::StoredEvent;
use ruma::{EventId, RoomId};

use super::access::{Sights, view_room};
use crate::{Ctx, Requester, ServiceError, client_event::ClientEvent, error::Refusal};

/// One event of a room as the requester sees it, as JSON.
pub async fn get_event(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<Vec<u8>, ServiceError> {
    let not_found = || ServiceError::not_found("there is no such event, or you may not see it");
    let view = match view_room(ctx, requester, room_id).await {
        // The specification has one answer for what is not there and what one may not see.
        Err(ServiceError::Refused {
            kind: Refusal::Forbidden,
            ..
        }) => return Err(not_found()),
        view => view?,
    };
    let nid = ctx
        .store
        .event_nid(view.room.nid, event_id)
        .await?
        .ok_or_else(not_found)?;
    let event = ctx.store.event(nid).await?.ok_or_else(not_found)?;
    if !Sights::new(ctx, requester, &view).sees(&event).await? {
        return Err(not_found());
    }
    let mut out = Vec::with_capacity(event.body.json().len() + 256);
    write_event(ctx, requester, &event, &mut out).await?;
    Ok(out)
}

/// Appends an event with everything that `unsigned` tells this requester.
pub(crate) async fn write_event(
    ctx: &Ctx,
    requester: &Requester,
    event: &StoredEvent,
    out: &mut Vec<u8>,
) -> Result<(), ServiceError> {
    let redaction = match event.redacted_by {
        Some(redaction) => ctx.store.event(redaction).await?,
        None => None,
    };
    let replaced = find_replaced(ctx, event).await?;
    let transaction = event
        .transaction
        .as_ref()
        .filter(|transaction| event.sender == requester.user && transaction.device == requester.device_id);
    let client_event = ClientEvent {
        transaction_id: transaction.map(|transaction| transaction.id.as_str()),
        redaction: redaction.as_deref(),
        replaced: replaced.as_deref(),
        ..ClientEvent::new(event, ctx.clock.now_ms())
    };
    client_event.write(out);
    Ok(())
}

/// The event whose state this one replaced, for a state event that was not the first.
async fn find_replaced(ctx: &Ctx, event: &StoredEvent) -> Result<Option<Arc<StoredEvent>>, ServiceError> {
    match event.body.state_key() {
        Some(state_key) => Ok(ctx
            .store
            .state_event(event.room, event.state_before, event.body.kind(), state_key)
            .await?),
        None => Ok(None),
    }
}
