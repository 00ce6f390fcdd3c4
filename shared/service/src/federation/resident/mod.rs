//! What this server answers as one of the servers of a room, to others that are in it: the room's events and states.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#retrieving-events>

mod auth_chain;
mod events;
mod history;
mod state;

use std::{sync::Arc, time::Duration};

use plexus_core::event::EventBody;
use plexus_storage::rooms::RoomInfo;
use ruma::{RoomId, ServerName};
use serde_json::json;
use tokio::time::Instant;

pub use self::{
    auth_chain::{auth_chain, get_event_auth},
    events::get_event,
    history::{BACKFILL_MAX, MissingWish, backfill, get_missing_events},
    state::{get_state, get_state_ids},
};
use super::acl;
use crate::{Ctx, ServiceError};

/// How long this process may take to hear of what others have decided.
const CATCH_UP_MAX: Duration = Duration::from_millis(500);

/// The room that a server asks about, if the server is in it; or a refusal that does not tell whether there is such a room.
pub async fn require_resident(ctx: &Ctx, origin: &ServerName, room_id: &RoomId) -> Result<Arc<RoomInfo>, ServiceError> {
    let outside = || ServiceError::forbidden("There is no such room on this server, or your server is not in it");
    let room = ctx.store.room(room_id).await?.ok_or_else(outside)?;
    let is_in = async || Ok::<_, ServiceError>(ctx.store.room_servers(room.nid).await?.contains(origin));
    if !is_in().await? {
        // Its join may have been answered by a process that is ahead of this one.
        let head = ctx.replica.head().await?;
        let in_time = ctx.replica.reached(&head, Instant::now() + CATCH_UP_MAX).await;
        if in_time.is_err() || !is_in().await? {
            return Err(outside());
        }
    }
    acl::check(ctx, &room, origin).await?;
    Ok(room)
}

fn no_event() -> ServiceError {
    ServiceError::not_found("there is no such event in the room")
}

/// Appends a JSON array of events.
fn write_events<'a>(events: impl IntoIterator<Item = &'a EventBody>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (i, event) in events.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(event.json().as_bytes());
    }
    out.push(b']');
}

/// Events in the frame of a transaction.
fn write_transaction<'a>(ctx: &Ctx, events: impl IntoIterator<Item = &'a EventBody>) -> Vec<u8> {
    let frame = json!({"origin": ctx.config.server_name, "origin_server_ts": ctx.clock.now_ms()});
    let mut out = frame.to_string().into_bytes();
    out.pop();
    out.extend_from_slice(b",\"pdus\":");
    write_events(events, &mut out);
    out.push(b'}');
    out
}
