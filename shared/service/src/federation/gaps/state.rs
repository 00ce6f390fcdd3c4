//! The state behind a hole in the history.

use std::collections::HashSet;

use plexus_core::event::EventBody;
use plexus_proto::event_outcome::Outcome;
use plexus_storage::rooms::RoomInfo;
use ruma::{EventId, OwnedEventId, ServerName};

use super::{
    outliers::{bring_outliers, fetch_events},
    sources::Sources,
};
use crate::{
    Ctx, ServiceError,
    federation::{Arriving, bring},
};

/// Events of a state that are fetched one by one: of more, the whole state is fetched.
const ONE_BY_ONE_MAX: usize = 50;

/// Brings an event whose predecessors are not to be had, with the state before it as a server tells it. Whether it has found a place.
pub(super) async fn place_after_hole(
    ctx: &Ctx,
    room: &RoomInfo,
    sources: &Sources,
    event: &EventBody,
) -> Result<bool, ServiceError> {
    for server in sources.each() {
        match ctx
            .federation
            .fetch_state_ids(&server, &room.id, event.event_id())
            .await
        {
            Ok(ids) => match place_after(ctx, room, sources, (event, ids.state), &server).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error @ ServiceError::Unavailable(_)) => return Err(error),
                // A state of events that are none, say.
                Err(error) => tracing::info!(server.name = %server, %error, "a state cannot be taken"),
            },
            Err(error) => sources.note(&server, error)?,
        }
    }
    Ok(false)
}

async fn place_after(
    ctx: &Ctx,
    room: &RoomInfo,
    sources: &Sources,
    (event, mut state): (&EventBody, Vec<OwnedEventId>),
    server: &ServerName,
) -> Result<bool, ServiceError> {
    let Some(missing) = try_after(ctx, room, event, &state).await? else {
        return Ok(true);
    };
    fetch_state_parts(ctx, room, sources, (server, event.event_id()), missing).await?;
    let Some(missing) = try_after(ctx, room, event, &state).await? else {
        return Ok(true);
    };
    // What nobody has, or nobody believes, is left out: the rest of the state is as good as it was.
    let missing: HashSet<OwnedEventId> = missing.into_iter().collect();
    state.retain(|id| !missing.contains(id));
    tracing::info!(room.id = %room.id, event.id = %event.event_id(), events = missing.len(), "parts of a state are not to be had");
    Ok(try_after(ctx, room, event, &state).await?.is_none())
}

/// Fetches parts of the state before an event that are missing here. Whether any was new.
pub(in crate::federation) async fn fetch_state_parts(
    ctx: &Ctx,
    room: &RoomInfo,
    sources: &Sources,
    (server, event_id): (&ServerName, &EventId),
    missing: Vec<OwnedEventId>,
) -> Result<bool, ServiceError> {
    if missing.len() <= ONE_BY_ONE_MAX {
        let fetched = fetch_events(ctx, room, sources, missing).await?;
        return bring_outliers(ctx, room, sources, fetched).await;
    }
    match ctx
        .federation
        .fetch_state(server, room.version.rules(), &room.id, event_id)
        .await
    {
        Ok(fetched) => {
            let events = fetched.state.into_iter().chain(fetched.auth_chain).collect();
            bring_outliers(ctx, room, sources, events).await
        }
        Err(error) => {
            sources.note(server, error)?;
            Ok(false)
        }
    }
}

/// Brings an event with a state before it. What is missing for that; nothing if the event is settled.
async fn try_after(
    ctx: &Ctx,
    room: &RoomInfo,
    event: &EventBody,
    state: &[OwnedEventId],
) -> Result<Option<Vec<OwnedEventId>>, ServiceError> {
    let arriving = Arriving::after(event.clone(), state.to_vec());
    let outcomes = bring(ctx, &room.id, room.version, vec![arriving]).await?;
    let missing = outcomes
        .into_iter()
        .find(|outcome| outcome.outcome() == Outcome::Missing);
    let ids = missing.map(|outcome| outcome.missing.into_iter().filter_map(|id| EventId::parse(id).ok()));
    Ok(ids.map(Iterator::collect))
}
