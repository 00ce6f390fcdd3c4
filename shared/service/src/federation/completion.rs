//! The rest of the state of rooms that were joined with a part of it: fetched in the background, and by another process if the first one ends.
//!
//! Every process that takes requests of other servers does this. A process takes a room on for a while, as with events that wait for others.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use plexus_core::ids::RoomNid;
use plexus_federation::rooms::RoomState;
use plexus_proto::{self as proto, command::Kind, event_outcome::Outcome};
use plexus_storage::rooms::RoomInfo;
use ruma::{EventId, OwnedEventId, OwnedServerName, ServerName};
use tokio::{task::JoinSet, time::sleep};

use super::{
    Arriving, bring,
    candidates::Attempts,
    in_order, is_resident,
    member_event::untrue,
    shifts::{self, HELD_MS, Shift, while_held},
};
use crate::{Ctx, ServiceError, ids::new_command};

/// How often a process looks for rooms that nobody told it of.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Rooms that one process completes at once: their states are in memory.
const ROOMS_AT_ONCE_MAX: usize = 2;
/// How long a room is left alone that no server helps with.
const PAUSE_MS: i64 = 30_000;
/// Most servers that are asked in one go.
const SERVERS_MAX: usize = 5;

/// Completes rooms, until the process ends.
pub async fn run(ctx: Ctx) {
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = under_way.join_next() => {}
            () = ctx.inbound.partial.notified() => {}
            () = sleep(LOOK_EVERY) => {}
        }
        match take_some(&ctx, ROOMS_AT_ONCE_MAX - under_way.len()).await {
            Ok(taken) => shifts::begin(&mut under_way, taken, |shift| look_after(ctx.clone(), shift)),
            Err(error) => tracing::warn!(%error, "rooms whose state is not complete cannot be found"),
        }
    }
}

/// Takes rooms on, at most `limit`, each until a time.
async fn take_some(ctx: &Ctx, limit: usize) -> Result<Vec<Shift>, ServiceError> {
    let mut taken = Vec::new();
    let now_ms = ctx.clock.now_ms();
    let until_ms = now_ms + HELD_MS;
    let rooms = ctx.store.partial_rooms().await?;
    for (room, _) in rooms.iter().filter(|(_, completed)| completed.is_none()) {
        if taken.len() == limit {
            break;
        }
        // Nobody tells a server that has left again.
        if is_resident(ctx, *room).await? && ctx.store.take_completion(*room, now_ms, until_ms).await? {
            taken.push((*room, until_ms));
        }
    }
    Ok(taken)
}

async fn look_after(ctx: Ctx, (room, until_ms): Shift) {
    // If another process has it meanwhile, both work on it, which does no harm.
    let renew = async |held_until_ms| {
        let until_ms = ctx.clock.now_ms() + HELD_MS;
        let kept = ctx.store.take_completion(room, held_until_ms, until_ms).await;
        if kept.unwrap_or(false) { until_ms } else { held_until_ms }
    };
    let (outcome, until_ms) = while_held(until_ms, renew, Box::pin(complete(&ctx, room))).await;
    let noted = match outcome {
        Ok(()) => ctx.store.end_completion(room).await,
        Err(error) => {
            tracing::warn!(room.nid = room.0, %error, "the state of a room cannot be completed now");
            let later = ctx.clock.now_ms() + PAUSE_MS;
            ctx.store.take_completion(room, until_ms, later).await.map(drop)
        }
    };
    if let Err(error) = noted {
        tracing::warn!(room.nid = room.0, %error, "a room cannot be given back before its time");
    }
}

/// Completes a room by one of the servers in it.
async fn complete(ctx: &Ctx, room: RoomNid) -> Result<(), ServiceError> {
    let (Some(partial), Some(info)) = (ctx.store.partial_room(room).await?, ctx.store.room_by_nid(room).await?) else {
        return Ok(());
    };
    let Some(first) = ctx.store.event(partial.event).await? else {
        return Ok(());
    };
    let own = &ctx.config.server_name;
    let servers: Vec<OwnedServerName> = partial.servers.into_iter().filter(|server| server != own).collect();
    let mut attempts = Attempts::new(&info.id);
    for server in servers.iter().take(SERVERS_MAX) {
        let outcome = complete_by(ctx, server, &info, first.body.event_id()).await;
        if attempts.note(server, outcome)?.is_some() {
            return Ok(());
        }
    }
    Err(attempts.give_up())
}

async fn complete_by(ctx: &Ctx, server: &ServerName, room: &RoomInfo, event_id: &EventId) -> Result<(), ServiceError> {
    let rules = room.version.rules();
    let RoomState { state, auth_chain } = ctx.federation.fetch_state(server, rules, &room.id, event_id).await?;
    let mut keys = HashSet::new();
    let is_state = state.iter().all(|event| {
        let key = event.state_key().map(|key| (event.kind().to_owned(), key.to_owned()));
        key.is_some_and(|key| keys.insert(key))
    });
    if !is_state || !state.iter().any(|event| event.is_state("m.room.create", "")) {
        return Err(untrue(server, "a state that cannot be"));
    }
    let wanted: Vec<OwnedEventId> = state.iter().map(|event| event.event_id().to_owned()).collect();
    let mut seen = HashSet::new();
    let mut events = state;
    events.extend(auth_chain);
    events.retain(|event| seen.insert(event.event_id().to_owned()));
    let events = in_order(events);
    let ids: Vec<OwnedEventId> = events.iter().map(|event| event.event_id().to_owned()).collect();
    let outliers = events.into_iter().map(Arriving::outlier).collect();
    let outcomes = bring(ctx, &room.id, room.version, outliers).await?;
    let outcomes: HashMap<OwnedEventId, Outcome> = ids
        .into_iter()
        .zip(outcomes.iter().map(proto::EventOutcome::outcome))
        .collect();
    let is_kept = |id: &OwnedEventId| !matches!(outcomes.get(id), None | Some(Outcome::Missing | Outcome::Invalid));
    let complete = proto::CompleteState {
        room_id: room.id.to_string(),
        event_id: event_id.to_string(),
        state: wanted
            .iter()
            .filter(|id| is_kept(id))
            .map(ToString::to_string)
            .collect(),
    };
    let result = ctx.replica.run(new_command(Kind::CompleteState(complete))).await?;
    match result.outcomes.first() {
        None => Ok(()),
        Some(outcome) => Err(untrue(
            server,
            &format!("a state that is not whole: {:?}", outcome.missing),
        )),
    }
}
