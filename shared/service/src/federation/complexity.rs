//! How complex a room is: what a small server wants to know before one of its users joins a large one.

use plexus_core::state;
use ruma::{RoomId, ServerName};
use serde_json::{Value, json};

use super::acl;
use crate::{Ctx, ServiceError, rooms::access::now};

/// How many state events a room of complexity 1 has.
const EVENTS_OF_ONE: f64 = 500.0;
/// To how many parts of one a complexity is told.
const PARTS: f64 = 100.0;

/// The complexity of a room that anybody may join or read, as JSON.
pub async fn get_complexity(ctx: &Ctx, origin: &ServerName, room_id: &RoomId) -> Result<Value, ServiceError> {
    let unknown = || ServiceError::not_found("there is no such room, or it is not open to everybody");
    let room = ctx.store.room(room_id).await?.ok_or_else(unknown)?;
    acl::check(ctx, &room, origin).await?;
    let state_root = ctx.store.room_root_at(room.nid, now(ctx)).await?.ok_or_else(unknown)?;
    let summary = ctx.store.room_summary(room.nid, state_root).await?;
    if !summary.world_readable && summary.join_rule() != "public" {
        return Err(unknown());
    }
    let events = ctx
        .store
        .with_nodes(room.nid, |nodes| state::len(state_root, nodes))
        .await?;
    let events = u32::try_from(events).unwrap_or(u32::MAX);
    let complexity = (f64::from(events) / EVENTS_OF_ONE * PARTS).round() / PARTS;
    Ok(json!({"v1": complexity}))
}
