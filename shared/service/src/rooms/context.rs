//! What was said around an event.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid>

use std::sync::Arc;

use plexus_core::{
    filter::PageFilter,
    ids::{EventNid, NodeId, StateKeyNid},
};
use plexus_storage::events::{Direction, StoredEvent};
use ruma::{EventId, RoomId};

use super::{
    access::{Seen, Sights, View, view_room},
    event::require_visible,
    messages::{token, write_member},
    page::{LIMIT_DEFAULT, LIMIT_MAX, Page, Range, collect, is_wanted, newest_order},
    present::{Remarks, Style, write_state},
};
use crate::{Ctx, Requester, ServiceError, federation::history::ensure_history};

/// The event, as many events before and after it as `limit` asks for in all, and the state at the last of them, as JSON.
pub async fn get_context(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    event_id: &EventId,
    limit: Option<usize>,
    filter: &PageFilter,
) -> Result<Vec<u8>, ServiceError> {
    let view = view_room(ctx, requester, room_id).await?;
    let mut sights = Sights::new(ctx, requester, &view);
    let event = require_visible(ctx, &mut sights, &view, event_id).await?;
    let order = event.event.room_order.unwrap_or_default();
    let limit = limit
        .or(filter.events.events.limit)
        .unwrap_or(LIMIT_DEFAULT)
        .min(LIMIT_MAX);
    let newest = newest_order(ctx, &view, view.up_to).await?;
    let range = |from, direction| Range {
        from,
        to: None,
        newest,
        stop: None,
        direction,
    };
    ensure_history(ctx, &view.room, newest, (order, limit / 2 + 1)).await?;
    let backward = range(order - 1, Direction::Backward);
    let before = collect(ctx, &mut sights, &view, backward, limit / 2, filter).await?;
    let forward = range(order, Direction::Forward);
    let after = collect(ctx, &mut sights, &view, forward, limit - limit / 2, filter).await?;
    let last = after.events.last().unwrap_or(&event);
    let root = last.event.room_root;
    let end = last.event.room_order.unwrap_or(order);
    let start = oldest_order(&before, order) - 1;
    let style = Style {
        format: filter.event_format,
        fields: filter.event_fields.as_ref(),
        ..Style::default()
    };
    let all: Vec<Seen> = [event.clone()]
        .into_iter()
        .chain(before.events.iter().cloned())
        .chain(after.events.iter().cloned())
        .collect();
    let remarks = Remarks::read(ctx, requester, &mut sights, style, &all, Some(view.up_to)).await?;
    let state = state_at(ctx, &view, root, filter, &all).await?;
    let bytes: usize = all.iter().map(|seen| seen.event.body.json().len() + 200).sum();
    let mut out = Vec::with_capacity(bytes + 256);
    out.extend_from_slice(b"{\"event\":");
    remarks.write(ctx, requester, style, &event, &mut out);
    out.extend_from_slice(b",\"events_after\":");
    remarks.write_list(ctx, requester, style, &after.events, &mut out);
    out.extend_from_slice(b",\"events_before\":");
    remarks.write_list(ctx, requester, style, &before.events, &mut out);
    out.extend_from_slice(b",\"state\":");
    write_state(ctx, &state, style, &mut out);
    write_member(&mut out, "start", &token(ctx, start));
    write_member(&mut out, "end", &token(ctx, end));
    out.push(b'}');
    Ok(out)
}

/// The place of the oldest event shown.
fn oldest_order(before: &Page, order: i64) -> i64 {
    let oldest = before.events.last().and_then(|seen| seen.event.room_order);
    oldest.unwrap_or(order)
}

/// The state that the filter shows; with lazy members, of these only those who sent something that is shown.
async fn state_at(
    ctx: &Ctx,
    view: &View,
    root: NodeId,
    filter: &PageFilter,
    shown: &[Seen],
) -> Result<Vec<Arc<StoredEvent>>, ServiceError> {
    let filter = &filter.events;
    if !filter.shows_room(view.room.id.as_str()) {
        return Ok(Vec::new());
    }
    let entries = ctx.store.state(view.room.nid, root).await?;
    let keys: Vec<StateKeyNid> = entries.iter().map(|(key, _)| *key).collect();
    let pairs = ctx.store.state_keys(&keys).await?;
    let mut nids: Vec<EventNid> = Vec::with_capacity(entries.len());
    for ((key, nid), pair) in entries.into_iter().zip(pairs) {
        let pair = pair.ok_or_else(|| ServiceError::internal(format!("state key {} is not in state_keys", key.0)))?;
        let is_left_out = filter.lazy_load_members
            && pair.0 == "m.room.member"
            && !shown.iter().any(|seen| seen.event.body.sender().as_str() == pair.1);
        if !is_left_out && filter.events.shows_type(&pair.0) {
            nids.push(nid);
        }
    }
    let mut events = ctx.store.events(&nids).await?;
    events.retain(|event| is_wanted(filter, event));
    Ok(events)
}
