//! What allows an event, and what allows that, to the room's beginning.

use std::collections::{BTreeSet, HashMap};

use plexus_core::ids::EventNid;
use plexus_storage::rooms::RoomInfo;
use ruma::{EventId, RoomId, ServerName};

use super::{no_event, require_resident, write_events};
use crate::{Ctx, ServiceError};

/// Most events of one auth chain: those of a room with some hundreds of thousands of members.
const CHAIN_MAX: usize = 1_000_000;

/// The auth chain of an event, which is not part of it: `{"auth_chain": [...]}`.
pub async fn get_event_auth(
    ctx: &Ctx,
    origin: &ServerName,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<Vec<u8>, ServiceError> {
    let room = require_resident(ctx, origin, room_id).await?;
    let event = ctx.store.known_event(room.nid, event_id).await?.ok_or_else(no_event)?;
    let mut parents = Vec::new();
    for id in event.body.auth_events() {
        parents.extend(ctx.store.known_event(room.nid, id).await?.map(|parent| parent.nid));
    }
    let mut chain: BTreeSet<EventNid> = auth_chain(ctx, &room, &parents).await?.into_iter().collect();
    chain.extend(parents);
    let chain: Vec<EventNid> = chain.into_iter().collect();
    let events = ctx.store.events(&chain).await?;
    let mut out = b"{\"auth_chain\":".to_vec();
    write_events(events.iter().map(|event| &*event.body), &mut out);
    out.push(b'}');
    Ok(out)
}

/// The auth chain of state events, each after those that allow it: what they name as allowing them, directly or through others. They themselves are
/// part of it as far as others of them name them.
pub async fn auth_chain(ctx: &Ctx, room: &RoomInfo, events: &[EventNid]) -> Result<Vec<EventNid>, ServiceError> {
    let asked: BTreeSet<EventNid> = events.iter().copied().collect();
    let mut chain: BTreeSet<EventNid> = BTreeSet::new();
    let mut frontier = events.to_vec();
    while !frontier.is_empty() {
        let parents: HashMap<_, _> = ctx.store.auth_parents(room.nid, &frontier).await?;
        let mut next = BTreeSet::new();
        for parent in parents.values().flat_map(|parents| parents.iter()) {
            if chain.insert(*parent) {
                next.insert(*parent);
            }
        }
        if chain.len() > CHAIN_MAX {
            return Err(ServiceError::internal("an auth chain has no end"));
        }
        // What was asked for at the start has been looked at.
        frontier = next.difference(&asked).copied().collect();
    }
    Ok(chain.into_iter().collect())
}
