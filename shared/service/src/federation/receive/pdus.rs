//! The events of a transaction.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use metrics::counter;
use plexus_core::event::EventBody;
use plexus_proto::{EventOutcome, event_outcome::Outcome};
use plexus_storage::rooms::RoomInfo;
use ruma::{OwnedEventId, OwnedRoomId, RoomId, ServerName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::PDUS_TOTAL;
use crate::{
    Ctx, ServiceError,
    federation::{Arriving, acl, bring, in_order, is_resident, outside},
};

/// Rooms of one transaction that are worked on at once.
const ROOMS_AT_ONCE_MAX: usize = 8;

/// What became of each event, as far as an event has an id.
pub(super) type Told = BTreeMap<OwnedEventId, PduResult>;

/// What became of an event: nothing is said of one that was taken.
#[derive(Debug, Default, Serialize)]
pub(super) struct PduResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl PduResult {
    fn refused(error: impl Into<String>) -> Self {
        Self {
            error: Some(error.into()),
        }
    }
}

/// Takes the events of a transaction. An error means that not all of them are durable.
pub(super) async fn receive(ctx: &Ctx, origin: &ServerName, pdus: &[&RawValue]) -> Result<Told, ServiceError> {
    let rooms = by_room(pdus);
    let outcomes = stream::iter(rooms)
        .map(|(room_id, events)| async move { receive_in_room(ctx, origin, &room_id, events).await })
        .buffer_unordered(ROOMS_AT_ONCE_MAX)
        .collect::<Vec<_>>()
        .await;
    let mut told = Told::new();
    // All rooms have gone as far as they could before one of them is an error.
    for outcome in outcomes {
        told.extend(outcome?);
    }
    Ok(told)
}

/// The events by their rooms, in the order of the transaction. What does not say where it belongs has no id either, so that nothing can be told of it.
fn by_room(pdus: &[&RawValue]) -> Vec<(OwnedRoomId, Vec<Bytes>)> {
    #[derive(Deserialize)]
    struct InRoom {
        room_id: OwnedRoomId,
    }
    let mut rooms: Vec<(OwnedRoomId, Vec<Bytes>)> = Vec::new();
    for pdu in pdus {
        let Ok(InRoom { room_id }) = serde_json::from_str(pdu.get()) else {
            count("malformed", 1);
            continue;
        };
        let json = Bytes::copy_from_slice(pdu.get().as_bytes());
        match rooms.iter_mut().find(|(known, _)| *known == room_id) {
            Some((_, events)) => events.push(json),
            None => rooms.push((room_id, vec![json])),
        }
    }
    rooms
}

async fn receive_in_room(
    ctx: &Ctx,
    origin: &ServerName,
    room_id: &RoomId,
    events: Vec<Bytes>,
) -> Result<Told, ServiceError> {
    let Some((room, refusal)) = look(ctx, origin, room_id).await? else {
        // Without the room's version nobody knows the ids of its events.
        count("unknown_room", events.len());
        return Ok(Told::new());
    };
    let rules = room.version.rules();
    if let Some(why) = refusal {
        if !is_resident(ctx, room.nid).await? {
            outside::receive(ctx, &room, events.clone()).await?;
        }
        count("refused", events.len());
        let parsed = events.iter().filter_map(|json| EventBody::parse(json, rules).ok());
        return Ok(parsed
            .map(|event| (event.event_id().to_owned(), PduResult::refused(why)))
            .collect());
    }
    let mut told = Told::new();
    let mut verified = Vec::with_capacity(events.len());
    for outcome in ctx.federation.verify(rules, events).await? {
        match outcome {
            Ok(event) if event.room_id() == room_id => verified.push(event),
            Ok(event) => {
                count("malformed", 1);
                let event_id = event.event_id().to_owned();
                told.insert(event_id, PduResult::refused("the event is of another room"));
            }
            Err(error) => {
                count("unbelieved", 1);
                tracing::debug!(peer = %origin, event.id = ?error.event_id, %error, "an event is not believed");
                let refused = error
                    .event_id
                    .map(|id| (id, PduResult::refused(error.error.to_string())));
                told.extend(refused);
            }
        }
    }
    told.extend(place(ctx, origin, &room, in_order(verified)).await?);
    Ok(told)
}

/// A room, and why no event that this server sends for it is taken. A refusal is final: so it is not made on what another process has changed meanwhile, as
/// when a user has just joined by that.
async fn look(
    ctx: &Ctx,
    origin: &ServerName,
    room_id: &RoomId,
) -> Result<Option<(Arc<RoomInfo>, Option<&'static str>)>, ServiceError> {
    let seen = look_here(ctx, origin, room_id).await?;
    let is_refused = seen.as_ref().is_none_or(|(_, refusal)| refusal.is_some());
    if !is_refused || !ctx.inbound.budgets.take(origin, ctx.clock.now_ms()) {
        return Ok(seen);
    }
    ctx.replica.head().await?;
    look_here(ctx, origin, room_id).await
}

async fn look_here(
    ctx: &Ctx,
    origin: &ServerName,
    room_id: &RoomId,
) -> Result<Option<(Arc<RoomInfo>, Option<&'static str>)>, ServiceError> {
    let Some(room) = ctx.store.room(room_id).await? else {
        return Ok(None);
    };
    let refusal = if !is_resident(ctx, room.nid).await? {
        Some("nobody of this server is in the room")
    } else if !acl::allows(ctx, &room, origin).await? {
        Some("the room's access control list excludes your server")
    } else {
        None
    };
    Ok(Some((room, refusal)))
}

/// Brings events to the master; those that cannot go to their places now wait.
async fn place(ctx: &Ctx, origin: &ServerName, room: &RoomInfo, events: Vec<EventBody>) -> Result<Told, ServiceError> {
    let arriving = events.iter().cloned().map(Arriving::live).collect();
    let mut told = Told::new();
    match bring(ctx, &room.id, room.version, arriving).await {
        Ok(outcomes) => {
            for (event, outcome) in events.iter().zip(outcomes) {
                let result = if outcome.outcome() == Outcome::Missing {
                    stage(ctx, origin, room, event).await?
                } else {
                    tell(outcome)
                };
                told.insert(event.event_id().to_owned(), result);
            }
        }
        Err(ServiceError::Matrix { status, error, .. }) if status < 500 => {
            count("refused", events.len());
            let refused = events.iter().map(|event| event.event_id().to_owned());
            told.extend(refused.map(|id| (id, PduResult::refused(&*error))));
        }
        // The master is away, or this room keeps it busy. Other rooms, and the server that sends, need not wait for that.
        Err(error) => {
            tracing::info!(room.id = %room.id, %error, "events cannot be taken to their room now");
            for event in &events {
                let result = stage(ctx, origin, room, event).await?;
                if result.error.is_some() {
                    return Err(error);
                }
                told.insert(event.event_id().to_owned(), result);
            }
        }
    }
    Ok(told)
}

fn tell(outcome: EventOutcome) -> PduResult {
    let (word, is_taken) = match outcome.outcome() {
        Outcome::Accepted => ("accepted", true),
        Outcome::SoftFailed => ("soft_failed", true),
        Outcome::Outlier => ("outlier", true),
        // It has its place, and other servers judge it for themselves.
        Outcome::Rejected => ("rejected", true),
        Outcome::Invalid => ("invalid", false),
        Outcome::Missing => ("missing", false),
    };
    count(word, 1);
    if is_taken {
        return PduResult::default();
    }
    PduResult::refused(outcome.reason.unwrap_or_else(|| word.to_owned()))
}

async fn stage(ctx: &Ctx, origin: &ServerName, room: &RoomInfo, event: &EventBody) -> Result<PduResult, ServiceError> {
    let now_ms = ctx.clock.now_ms();
    if ctx.store.stage_event(room.nid, origin, event, now_ms).await? {
        count("staged", 1);
        ctx.inbound.staged.notify_one();
        return Ok(PduResult::default());
    }
    count("not_staged", 1);
    Ok(PduResult::refused("too many events of this room wait for others"))
}

fn count(outcome: &'static str, events: usize) {
    counter!(PDUS_TOTAL, "outcome" => outcome).increment(events as u64);
}
