//! Reading one event.

use std::sync::Arc;

use plexus_storage::{events::StoredEvent, rooms::RoomInfo};
use ruma::{EventId, RoomId};

use super::{
    access::{Seen, Sights, View, now, view, view_room},
    present::{Remarks, Style},
};
use crate::{Ctx, Requester, ServiceError, error::Refusal};

/// One event of a room as the requester sees it, as JSON.
pub async fn get_event(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<Vec<u8>, ServiceError> {
    let view = match view_room(ctx, requester, room_id).await {
        // The specification has one answer for what is not there and what one may not see.
        Err(ServiceError::Refused {
            kind: Refusal::Forbidden,
            ..
        }) => return Err(not_found()),
        view => view?,
    };
    let event = find_in_room(ctx, &view, event_id).await?.ok_or_else(not_found)?;
    write_one(ctx, requester, &view, &event).await
}

/// One event, in whichever room it is, as JSON.
pub async fn get_event_anywhere(ctx: &Ctx, requester: &Requester, event_id: &EventId) -> Result<Vec<u8>, ServiceError> {
    let event = ctx.store.find_event(event_id).await?.ok_or_else(not_found)?;
    let room = ctx.store.room_by_nid(event.room).await?;
    let room = room.ok_or_else(|| ServiceError::internal("an event of an unknown room"))?;
    let view = view(ctx, requester, room, now(ctx)).await?.ok_or_else(not_found)?;
    write_one(ctx, requester, &view, &event).await
}

/// An event of a room, if it is there.
pub(super) async fn find_in_room(
    ctx: &Ctx,
    view: &View,
    event_id: &EventId,
) -> Result<Option<Arc<StoredEvent>>, ServiceError> {
    match ctx.store.event_nid(view.room.nid, event_id).await? {
        Some(nid) => Ok(ctx.store.event(nid).await?),
        None => Ok(None),
    }
}

/// An event of a room that the requester may see.
pub(super) async fn require_visible(
    ctx: &Ctx,
    sights: &mut Sights<'_>,
    view: &View,
    event_id: &EventId,
) -> Result<Seen, ServiceError> {
    let event = find_in_room(ctx, view, event_id).await?.ok_or_else(not_found)?;
    sights.look(&event).await?.ok_or_else(not_found)
}

/// An event as the requester sees it, as JSON; none if he may not see it.
pub(crate) async fn show(
    ctx: &Ctx,
    requester: &Requester,
    room: &Arc<RoomInfo>,
    event: &Arc<StoredEvent>,
) -> Result<Option<Vec<u8>>, ServiceError> {
    match view(ctx, requester, Arc::clone(room), now(ctx)).await? {
        Some(view) => show_in(ctx, requester, &view, event).await,
        None => Ok(None),
    }
}

async fn write_one(
    ctx: &Ctx,
    requester: &Requester,
    view: &View,
    event: &Arc<StoredEvent>,
) -> Result<Vec<u8>, ServiceError> {
    show_in(ctx, requester, view, event).await?.ok_or_else(not_found)
}

async fn show_in(
    ctx: &Ctx,
    requester: &Requester,
    view: &View,
    event: &Arc<StoredEvent>,
) -> Result<Option<Vec<u8>>, ServiceError> {
    let mut sights = Sights::new(ctx, requester, view);
    let Some(seen) = sights.look(event).await? else {
        return Ok(None);
    };
    let (style, seen) = (Style::default(), [seen]);
    let remarks = Remarks::read(ctx, requester, &mut sights, style, &seen, Some(view.up_to)).await?;
    let mut out = Vec::with_capacity(event.body.json().len() + 256);
    remarks.write(ctx, requester, style, &seen[0], &mut out);
    Ok(Some(out))
}

fn not_found() -> ServiceError {
    ServiceError::not_found("there is no such event, or you may not see it")
}
