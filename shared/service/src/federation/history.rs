//! History that is missing here and that somebody wants to read: it is fetched from servers that were there.
//!
//! Where history is missing is a fact of the database. What is fetched goes to its place in the timeline as news to nobody, with the state before its oldest
//! events as the server tells it, since whether a user may read something depends on the state then.

pub(crate) mod holes;

use std::time::Duration;

use plexus_core::{event::EventBody, ids::RoomNid};
use plexus_federation::rooms::BACKFILL_MAX;
use plexus_proto::event_outcome::Outcome;
use plexus_storage::{
    events::{Direction, StoredEvent},
    room_gaps::{REGION_PLACES, RoomGap},
    rooms::RoomInfo,
};
use ruma::{EventId, OwnedEventId, ServerName};
use tokio::time::timeout;

use super::{
    Arriving,
    bring::{HISTORY_MAX, Placement, bring_history},
    gaps::{Sources, bring_outliers, fetch_events, fetch_state_parts},
    in_order,
};
use crate::{Ctx, ServiceError};

/// How long a reader waits for history.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// Pieces of history that are fetched for one reader.
const PIECES_MAX: usize = 3;
/// Times that what one piece lacks is fetched.
const ROUNDS_MAX: usize = 6;
/// Events of a piece whose state before them is asked for: the ends of branches that reach out of it.
const EDGES_MAX: usize = 10;
/// How long history is not asked for again after nobody has given any.
const PAUSE_MS: i64 = 60_000;

/// How far a room's history is here for somebody who reads backward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Something is missing among what he reads first, and nobody gives it now.
    pub lacks_something: bool,
    /// Where he has to stop, as what is past it has not been asked for yet.
    pub stop: Option<i64>,
}

/// Makes sure that the `wanted` events at a place in a room's timeline and before it are here, as far as other servers have them.
///
/// `newest` is where the timeline ends: it tells that history cannot be missing without a look at the table.
pub async fn ensure_history(
    ctx: &Ctx,
    room: &RoomInfo,
    newest: i64,
    (from, wanted): (i64, usize),
) -> Result<Reach, ServiceError> {
    if newest < REGION_PLACES || ctx.store.room_gaps(room.nid).await?.is_empty() {
        return Ok(Reach::default());
    }
    if gap_within(ctx, room.nid, from, wanted).await?.is_some()
        // Whoever comes while it is fetched waits for that, and looks again.
        && let Some(place) = ctx.inbound.readers.enter(&room.nid)
    {
        let fetched = timeout(WAIT_MAX, async {
            let _turn = place.turn.lock().await;
            fetch_pieces(ctx, room, from, wanted).await
        });
        if let Ok(outcome) = fetched.await {
            outcome?;
        }
    }
    let gaps = ctx.store.room_gaps(room.nid).await?;
    let mut stops = gaps.iter().map(|gap| gap.room_order - 1).filter(|stop| *stop <= from);
    let lacks_something = gap_within(ctx, room.nid, from, wanted).await?.is_some();
    if lacks_something {
        stops.next();
    }
    let stop = stops.next();
    Ok(Reach { lacks_something, stop })
}

async fn fetch_pieces(ctx: &Ctx, room: &RoomInfo, from: i64, wanted: usize) -> Result<(), ServiceError> {
    for _ in 0..PIECES_MAX {
        let Some(gap) = gap_within(ctx, room.nid, from, wanted).await? else {
            break;
        };
        if !try_piece(ctx, room, gap).await? {
            break;
        }
    }
    Ok(())
}

/// Fetches the newest piece of a gap, unless nobody had any a moment ago. Whether anything has come to its place.
async fn try_piece(ctx: &Ctx, room: &RoomInfo, gap: RoomGap) -> Result<bool, ServiceError> {
    let now_ms = ctx.clock.now_ms();
    if is_paused(ctx, gap) {
        return Ok(false);
    }
    let is_any_placed = fetch_piece(ctx, room, gap).await?;
    if !is_any_placed {
        ctx.inbound.history_pauses.set(gap.event, now_ms + PAUSE_MS);
    }
    Ok(is_any_placed)
}

fn is_paused(ctx: &Ctx, gap: RoomGap) -> bool {
    let pause = ctx.inbound.history_pauses.get(gap.event);
    pause.is_some_and(|until_ms| until_ms > ctx.clock.now_ms())
}

/// The first gap that somebody meets who reads so many events backward from a place.
async fn gap_within(ctx: &Ctx, room: RoomNid, from: i64, wanted: usize) -> Result<Option<RoomGap>, ServiceError> {
    let gaps = ctx.store.room_gaps(room).await?;
    let Some(gap) = gaps.into_iter().find(|gap| gap.room_order - 1 <= from) else {
        return Ok(None);
    };
    let page = ctx.store.page(room, from, Direction::Backward, wanted).await?;
    let last = page.last().and_then(|event| event.room_order);
    let is_met = page.len() < wanted || last.is_some_and(|last| last < gap.room_order);
    Ok(is_met.then_some(gap))
}

/// Fetches the newest piece of a gap. Whether anything has come to its place.
async fn fetch_piece(ctx: &Ctx, room: &RoomInfo, gap: RoomGap) -> Result<bool, ServiceError> {
    let Some(event) = ctx.store.event(gap.event).await? else {
        return Ok(false);
    };
    let sources = sources(ctx, room, &event).await?;
    let before = event.body.event_id().to_owned();
    for server in sources.each() {
        let limit = BACKFILL_MAX.min(HISTORY_MAX);
        let from = [before.clone()];
        let fetched = ctx
            .federation
            .fetch_backfill(&server, room.version.rules(), &room.id, &from, limit);
        match fetched.await {
            Ok(mut events) => {
                events.retain(|event| event.event_id() != before);
                if place(ctx, room, &sources, (&server, &before), events).await? {
                    return Ok(true);
                }
            }
            Err(error) => sources.note(&server, error)?,
        }
    }
    Ok(false)
}

/// Those who may have it: the server whose user has sent the event after the gap, and that of the room's creator, were surely there.
async fn sources(ctx: &Ctx, room: &RoomInfo, event: &StoredEvent) -> Result<Sources, ServiceError> {
    let create = ctx
        .store
        .state_event(room.nid, event.state_before, "m.room.create", "")
        .await?;
    let creator = create.map(|create| create.body.sender().server_name().to_owned());
    let first = [Some(event.body.sender().server_name().to_owned()), creator];
    Sources::among(ctx, room, first.into_iter().flatten()).await
}

/// History on its way to its place.
struct Piece {
    event: EventBody,
    state: Option<Vec<OwnedEventId>>,
    missing: Vec<OwnedEventId>,
}

/// Brings history before an event, with whatever it needs. Whether anything has come to its place.
async fn place(
    ctx: &Ctx,
    room: &RoomInfo,
    sources: &Sources,
    (server, before): (&ServerName, &EventId),
    events: Vec<EventBody>,
) -> Result<bool, ServiceError> {
    let mut held: Vec<Piece> = in_order(events)
        .into_iter()
        .map(|event| Piece {
            event,
            state: None,
            missing: Vec::new(),
        })
        .collect();
    let mut is_any_placed = false;
    for _ in 0..ROUNDS_MAX {
        if held.is_empty() {
            break;
        }
        let arriving = held.iter().map(|piece| Arriving {
            placement: piece.state.clone().map_or(Placement::Live, Placement::After),
            ..Arriving::live(piece.event.clone())
        });
        let outcomes = bring_history(ctx, &room.id, room.version, before, arriving.collect()).await?;
        let mut rest = Vec::new();
        for (mut piece, outcome) in held.into_iter().zip(outcomes) {
            is_any_placed |= outcome.is_new;
            if outcome.outcome() == Outcome::Missing {
                let ids = outcome.missing.into_iter().filter_map(|id| EventId::parse(id).ok());
                piece.missing = ids.collect();
                rest.push(piece);
            }
        }
        held = rest;
        if !supply(ctx, room, sources, server, &mut held).await? {
            break;
        }
    }
    Ok(is_any_placed)
}

/// Fetches what pieces of history lack. Whether there is anything new to try it with.
async fn supply(
    ctx: &Ctx,
    room: &RoomInfo,
    sources: &Sources,
    server: &ServerName,
    held: &mut [Piece],
) -> Result<bool, ServiceError> {
    let in_hand: Vec<OwnedEventId> = held.iter().map(|piece| piece.event.event_id().to_owned()).collect();
    let (mut is_any_new, mut edges) = (false, 0);
    for piece in held {
        piece.missing.retain(|id| !in_hand.contains(id));
        if piece.missing.is_empty() || edges == EDGES_MAX {
            continue;
        }
        edges += 1;
        let lacks_past = piece.event.prev_events().iter().any(|id| piece.missing.contains(id));
        if piece.state.is_none() && lacks_past {
            match ctx
                .federation
                .fetch_state_ids(server, &room.id, piece.event.event_id())
                .await
            {
                Ok(ids) => {
                    piece.state = Some(ids.state);
                    is_any_new = true;
                }
                Err(error) => sources.note(server, error)?,
            }
        } else if piece.state.is_some() {
            let missing = std::mem::take(&mut piece.missing);
            is_any_new |= fetch_state_parts(ctx, room, sources, (server, piece.event.event_id()), missing).await?;
        } else {
            let missing = std::mem::take(&mut piece.missing);
            let fetched = fetch_events(ctx, room, sources, missing).await?;
            is_any_new |= bring_outliers(ctx, room, sources, fetched).await?;
        }
    }
    Ok(is_any_new)
}
