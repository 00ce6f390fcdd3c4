//! The way of other servers' events to the master: verified ones only, as their type says, in Commands that fit it.

use std::{
    collections::{HashMap, HashSet},
    mem,
};

use plexus_core::{event::EventBody, room_version::RoomVersion};
use plexus_proto::{EventOutcome, GivenState, ReceiveEvents, ReceivedEvent, command::Kind};
use ruma::{EventId, OwnedEventId, OwnedServerName, RoomId};

use crate::{Ctx, ServiceError, ids::new_command};

/// Most events of one Command. The lane of the room is free for others in between.
const EVENTS_PER_COMMAND_MAX: usize = 200;
/// Most events of history that are brought at once.
pub const HISTORY_MAX: usize = 100;
/// Most bytes of one Command, unless a single event with the state before it has more: a quarter of what goes between processes.
const BYTES_PER_COMMAND_MAX: usize = 2 * 1024 * 1024;

/// Where an event goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// To the ends of the history: it happens now. Its predecessors have to be known.
    #[default]
    Live,
    /// Nowhere in the history: part of a state or of an auth chain.
    Outlier,
    /// The same as live, with the state before it, whose events have to be known; its predecessors need not be.
    After(Vec<OwnedEventId>),
    /// The same, with a part of the state before it: a room begins so whose members are on their way.
    AfterPart(PartialState),
}

/// A state of a room without its members but for a few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialState {
    /// Its events.
    pub events: Vec<OwnedEventId>,
    /// The servers that are in the room.
    pub servers: Vec<OwnedServerName>,
}

/// An event of another server on its way to the master. It has been verified: an [`EventBody`] comes from nowhere else.
#[derive(Clone, Debug)]
pub struct Arriving {
    /// The event.
    pub event: EventBody,
    /// Where it goes.
    pub placement: Placement,
    /// Whether this server sends it on to the others in the room: it was sent to this one alone.
    pub relay: bool,
}

impl Arriving {
    /// It happens now.
    pub fn live(event: EventBody) -> Self {
        Self::new(event, Placement::Live)
    }

    /// It is part of a state or of an auth chain.
    pub fn outlier(event: EventBody) -> Self {
        Self::new(event, Placement::Outlier)
    }

    /// It happens now, after what is not known here, with this state before it.
    pub fn after(event: EventBody, state: Vec<OwnedEventId>) -> Self {
        Self::new(event, Placement::After(state))
    }

    /// It happens now, and the others in the room hear of it from this server.
    pub fn relayed(event: EventBody) -> Self {
        let relay = true;
        Self {
            relay,
            ..Self::live(event)
        }
    }

    fn new(event: EventBody, placement: Placement) -> Self {
        let relay = false;
        Self {
            event,
            placement,
            relay,
        }
    }

    fn into_proto(self) -> ReceivedEvent {
        let state_before = match &self.placement {
            Placement::Live | Placement::Outlier => None,
            Placement::After(state) => Some(GivenState {
                event_ids: state.iter().map(ToString::to_string).collect(),
                ..GivenState::default()
            }),
            Placement::AfterPart(state) => Some(GivenState {
                event_ids: state.events.iter().map(ToString::to_string).collect(),
                partial: true,
                servers: state.servers.iter().map(ToString::to_string).collect(),
            }),
        };
        ReceivedEvent {
            json: self.event.json().to_owned().into(),
            outlier: self.placement == Placement::Outlier,
            relay: self.relay,
            state_before,
        }
    }
}

/// Brings events of a room to the master, each after those it refers to: see [`in_order`]. What became of each, in the order they came.
///
/// The room need not be known here. Once this returns, this process has reached what the events did.
pub async fn bring(
    ctx: &Ctx,
    room_id: &RoomId,
    version: RoomVersion,
    events: Vec<Arriving>,
) -> Result<Vec<EventOutcome>, ServiceError> {
    let mut outcomes = Vec::with_capacity(events.len());
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    for event in events.into_iter().map(Arriving::into_proto) {
        let size = size(&event);
        if !chunk.is_empty() && (chunk.len() == EVENTS_PER_COMMAND_MAX || bytes + size > BYTES_PER_COMMAND_MAX) {
            outcomes.extend(send(ctx, room_id, version, (mem::take(&mut chunk), None)).await?);
            bytes = 0;
        }
        bytes += size;
        chunk.push(event);
    }
    if !chunk.is_empty() {
        outcomes.extend(send(ctx, room_id, version, (chunk, None)).await?);
    }
    Ok(outcomes)
}

/// Brings history that is missing before an event, see [`Store::room_gaps`](plexus_storage::Store::room_gaps), oldest first: each event after those of it
/// that it refers to, and with the state before it where its predecessors are neither here nor in it. At most [`HISTORY_MAX`] events besides outliers.
pub async fn bring_history(
    ctx: &Ctx,
    room_id: &RoomId,
    version: RoomVersion,
    before: &EventId,
    events: Vec<Arriving>,
) -> Result<Vec<EventOutcome>, ServiceError> {
    let events = events.into_iter().map(Arriving::into_proto).collect();
    send(ctx, room_id, version, (events, Some(before))).await
}

async fn send(
    ctx: &Ctx,
    room_id: &RoomId,
    version: RoomVersion,
    (events, before): (Vec<ReceivedEvent>, Option<&EventId>),
) -> Result<Vec<EventOutcome>, ServiceError> {
    let count = events.len();
    let receive = ReceiveEvents {
        room_id: room_id.to_string(),
        room_version: version_number(version)?,
        events,
        before: before.map(ToString::to_string),
    };
    let result = ctx.replica.run(new_command(Kind::ReceiveEvents(receive))).await?;
    if result.outcomes.len() == count {
        Ok(result.outcomes)
    } else {
        Err(ServiceError::internal(
            "the master did not say what became of each event",
        ))
    }
}

fn version_number(version: RoomVersion) -> Result<u32, ServiceError> {
    version.as_str().parse().map_err(ServiceError::internal)
}

fn size(event: &ReceivedEvent) -> usize {
    let ids = event.state_before.iter().flat_map(|state| &state.event_ids);
    event.json.len() + ids.map(String::len).sum::<usize>()
}

/// Puts events behind those among them that they refer to, by `prev_events` or `auth_events`; otherwise they keep their order.
///
/// Events refer to others by hashes, so that there are no circles; in room versions whose ids are chosen there may be, and whoever is in one comes where it
/// was.
pub fn in_order(events: Vec<EventBody>) -> Vec<EventBody> {
    let places: HashMap<OwnedEventId, usize> = events
        .iter()
        .enumerate()
        .map(|(place, event)| (event.event_id().to_owned(), place))
        .collect();
    let order = visit_all(&events, &places);
    let mut events: Vec<Option<EventBody>> = events.into_iter().map(Some).collect();
    order.into_iter().filter_map(|place| events[place].take()).collect()
}

/// The places of events, each behind those of the events it refers to: depth first, without recursion.
fn visit_all(events: &[EventBody], places: &HashMap<OwnedEventId, usize>) -> Vec<usize> {
    let parents = |place: usize| -> Vec<usize> {
        let event = &events[place];
        let ids = event.auth_events().iter().chain(event.prev_events());
        ids.filter_map(|id| places.get::<EventId>(id).copied()).collect()
    };
    let mut order = Vec::with_capacity(events.len());
    let mut entered = HashSet::with_capacity(events.len());
    for start in 0..events.len() {
        if !entered.insert(start) {
            continue;
        }
        let mut stack = vec![(start, parents(start))];
        while let Some((place, waiting)) = stack.last_mut() {
            let place = *place;
            match waiting.pop() {
                Some(parent) if entered.insert(parent) => stack.push((parent, parents(parent))),
                Some(_) => {}
                None => {
                    order.push(place);
                    stack.pop();
                }
            }
        }
    }
    order
}

#[cfg(test)]
mod tests;
