//! Events that are part of a state or of an auth chain, with those that allow them.

use std::collections::HashSet;

use futures_util::{StreamExt as _, stream};
use plexus_core::event::EventBody;
use plexus_proto::event_outcome::Outcome;
use plexus_storage::rooms::RoomInfo;
use ruma::{EventId, OwnedEventId};

use super::sources::Sources;
use crate::{
    Ctx, ServiceError,
    federation::{Arriving, bring, in_order},
};

/// Single events that are asked for at once.
const AT_ONCE_MAX: usize = 8;
/// Single events that are asked for in one round.
const EVENTS_PER_ROUND_MAX: usize = 200;
/// How many rounds the events that allow others are followed.
const ROUNDS_MAX: usize = 30;

/// Brings events as outliers, and fetches those that allow them where they are missing. Whether any was new.
pub(in crate::federation) async fn bring_outliers(
    ctx: &Ctx,
    room: &RoomInfo,
    sources: &Sources,
    events: Vec<EventBody>,
) -> Result<bool, ServiceError> {
    let (mut held, mut sought, mut is_any_new) = (events, HashSet::new(), false);
    for _ in 0..ROUNDS_MAX {
        if held.is_empty() {
            break;
        }
        let events = in_order(held);
        let arriving = events.iter().cloned().map(Arriving::outlier).collect();
        let outcomes = bring(ctx, &room.id, room.version, arriving).await?;
        held = Vec::new();
        let mut missing: Vec<OwnedEventId> = Vec::new();
        for (event, outcome) in events.into_iter().zip(outcomes) {
            is_any_new |= outcome.is_new;
            if outcome.outcome() == Outcome::Missing {
                let ids = outcome.missing.into_iter().filter_map(|id| EventId::parse(id).ok());
                missing.extend(ids);
                held.push(event);
            }
        }
        missing.retain(|id| held.iter().all(|event| event.event_id() != id) && sought.insert(id.clone()));
        if missing.is_empty() {
            break;
        }
        let fetched = fetch_events(ctx, room, sources, missing).await?;
        if fetched.is_empty() {
            break;
        }
        held.extend(fetched);
    }
    Ok(is_any_new)
}

/// Single events, as far as anybody has them.
pub(in crate::federation) async fn fetch_events(
    ctx: &Ctx,
    room: &RoomInfo,
    sources: &Sources,
    mut ids: Vec<OwnedEventId>,
) -> Result<Vec<EventBody>, ServiceError> {
    ids.truncate(EVENTS_PER_ROUND_MAX);
    let fetched = stream::iter(ids)
        .map(|id| async move { fetch_one(ctx, room, sources, &id).await })
        .buffer_unordered(AT_ONCE_MAX)
        .collect::<Vec<_>>()
        .await;
    let mut events = Vec::with_capacity(fetched.len());
    for event in fetched {
        events.extend(event?);
    }
    Ok(events)
}

async fn fetch_one(
    ctx: &Ctx,
    room: &RoomInfo,
    sources: &Sources,
    id: &EventId,
) -> Result<Option<EventBody>, ServiceError> {
    for server in sources.each() {
        let fetched = ctx.federation.fetch_event(&server, room.version.rules(), &room.id, id);
        match fetched.await {
            Ok(event) => return Ok(Some(event)),
            Err(error) => sources.note(&server, error)?,
        }
    }
    Ok(None)
}
