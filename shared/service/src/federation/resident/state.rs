//! The room's state before an event, with all that allows it.

use plexus_core::{
    ids::{EventNid, NodeId},
    row::EventStatus,
};
use plexus_storage::{StoreError, events::StoredEvent, rooms::RoomInfo};
use ruma::{EventId, RoomId, ServerName};
use tokio::sync::Semaphore;

use super::{auth_chain, no_event, require_resident, write_events};
use crate::{Ctx, ServiceError};

/// Events that are read and written at a time, so that a large state is in memory but once.
const EVENTS_AT_ONCE: usize = 500;

/// Most whole states that a process writes at the same time; each may have hundreds of megabytes.
const STATES_AT_ONCE: usize = 4;

/// Whose turn it is to write one.
static TURNS: Semaphore = Semaphore::const_new(STATES_AT_ONCE);

/// The state before an event: `{"pdus": [...], "auth_chain": [...]}`.
pub async fn get_state(
    ctx: &Ctx,
    origin: &ServerName,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<Vec<u8>, ServiceError> {
    let room = require_resident(ctx, origin, room_id).await?;
    let state = state_before(ctx, &room, event_id).await?;
    let chain = auth_chain(ctx, &room, &state).await?;
    // Closed it never is.
    let _turn = TURNS.acquire().await;
    let mut out = b"{\"pdus\":".to_vec();
    write_all(ctx, &state, &mut out).await?;
    out.extend_from_slice(b",\"auth_chain\":");
    write_all(ctx, &chain, &mut out).await?;
    out.push(b'}');
    Ok(out)
}

/// The same by ids: `{"pdu_ids": [...], "auth_chain_ids": [...]}`.
pub async fn get_state_ids(
    ctx: &Ctx,
    origin: &ServerName,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<Vec<u8>, ServiceError> {
    let room = require_resident(ctx, origin, room_id).await?;
    let state = state_before(ctx, &room, event_id).await?;
    let chain = auth_chain(ctx, &room, &state).await?;
    let mut out = b"{\"pdu_ids\":".to_vec();
    write_ids(ctx, &room, &state, &mut out).await?;
    out.extend_from_slice(b",\"auth_chain_ids\":");
    write_ids(ctx, &room, &chain, &mut out).await?;
    out.push(b'}');
    Ok(out)
}

/// The state before an event, by number. Of an event without a place in the history that is here, it is not known.
async fn state_before(ctx: &Ctx, room: &RoomInfo, event_id: &EventId) -> Result<Vec<EventNid>, ServiceError> {
    let event = ctx.store.known_event(room.nid, event_id).await?.ok_or_else(no_event)?;
    let is_partial = ctx.store.partial_room(room.nid).await?.is_some();
    if is_partial || !has_state(&event) {
        return Err(ServiceError::not_found("the state at the event is not known"));
    }
    let state = ctx.store.state(room.nid, event.state_before).await;
    let state = match state {
        // What a purge has left behind.
        Err(StoreError::Node { .. }) => return Err(ServiceError::not_found("the state at the event is gone")),
        state => state?,
    };
    let mut events: Vec<EventNid> = state.into_iter().map(|(_, event)| event).collect();
    events.sort_unstable();
    Ok(events)
}

/// Whether the state before an event is told: it is known, where only a create event has an empty one, and the event is not rejected, so that nobody builds
/// on it.
fn has_state(event: &StoredEvent) -> bool {
    !matches!(event.status, EventStatus::Outlier | EventStatus::Rejected)
        && (event.state_before != NodeId::EMPTY || event.body.is_state("m.room.create", ""))
}

async fn write_all(ctx: &Ctx, nids: &[EventNid], out: &mut Vec<u8>) -> Result<(), ServiceError> {
    out.push(b'[');
    for (i, chunk) in nids.chunks(EVENTS_AT_ONCE).enumerate() {
        let events = ctx.store.events(chunk).await?;
        let mut list = Vec::new();
        write_events(events.iter().map(|event| &*event.body), &mut list);
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&list[1..list.len() - 1]);
    }
    out.push(b']');
    Ok(())
}

async fn write_ids(ctx: &Ctx, room: &RoomInfo, nids: &[EventNid], out: &mut Vec<u8>) -> Result<(), ServiceError> {
    let ids = ctx.store.event_ids(room, nids).await?;
    serde_json::to_writer(out, &ids).map_err(ServiceError::internal)
}
