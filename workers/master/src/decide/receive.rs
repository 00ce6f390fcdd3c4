//! Events from outside: what other servers have said, verified by a worker, and brought here to be put in their places.
//!
//! The checks are those of <https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu> from the fourth on; a worker has made the
//! first three. An event is put in its place only when all that it refers to has one: what is missing is named in the answer, for a worker to fetch.

pub(super) mod arrival;
mod history;

use std::sync::Arc;

use plexus_core::{event::EventBody, ids::NodeId, room_version::EventIdFormat, row::EventStatus};
use plexus_proto::{CommandResult, EventOutcome, ReceiveEvents, ReceivedEvent, event_outcome::Outcome};
use ruma::{EventId, OwnedEventId, RoomId};

use self::{
    arrival::{Arrival, find_all, find_create},
    history::Filling,
};
use super::{
    Decision,
    create_room::{begin_room, version},
    head::{LaneState, PendingHead},
    removals,
};
use crate::{change_set::ChangeSet, error::CommandError, leader::Leader};

/// Events that one Command may bring: a batch of backfill, or a piece of the state of a room that is joined.
const EVENTS_MAX: usize = 1_000;

/// Puts events in their places, in the order in which they come.
pub(super) async fn receive_events(
    leader: &Leader,
    state: &mut LaneState,
    command: &ReceiveEvents,
) -> Result<Decision, CommandError> {
    if command.events.len() > EVENTS_MAX {
        return Err(CommandError::Malformed("too many events"));
    }
    let mut change = ChangeSet::default();
    // The head moves only if everything below succeeds.
    let mut head = open_head(leader, state, command, &mut change).await?;
    let mut filling = match &command.before {
        Some(before) => match Filling::begin(leader, &mut head, before, command).await? {
            Some(filling) => Some(filling),
            None => return no_gap(leader, &mut head, command).await,
        },
        None => None,
    };
    let mut outcomes = Vec::with_capacity(command.events.len());
    for event in &command.events {
        outcomes.push(receive(leader, &mut head, event, filling.as_mut(), &mut change).await?);
    }
    if let Some(filling) = filling {
        filling.end(leader, &mut head, &mut change).await?;
    }
    if !change.rows.is_empty() {
        state.set_head(head);
    }
    let result = CommandResult {
        outcomes,
        ..CommandResult::default()
    };
    Ok(Decision { change, result })
}

/// History came for a gap that is filled by now, or for which there is no place: what is not known of it is left out.
async fn no_gap(leader: &Leader, head: &mut PendingHead, command: &ReceiveEvents) -> Result<Decision, CommandError> {
    let rules = head.info.version.rules();
    let mut outcomes = Vec::with_capacity(command.events.len());
    for event in &command.events {
        let id = EventBody::parse(&event.json, rules).map(|event| event.event_id().to_owned());
        let known = match &id {
            Ok(id) => head.find_event(leader, id).await?,
            Err(_) => None,
        };
        let verdict = match known {
            Some(known) => Verdict::Known(known.status),
            None => Verdict::Invalid("no history is missing there".to_owned()),
        };
        outcomes.push(outcome(id.as_deref().ok(), verdict));
    }
    let result = CommandResult {
        outcomes,
        ..CommandResult::default()
    };
    Ok(Decision {
        result,
        ..Decision::default()
    })
}

/// The room's head; that of a room which nobody here had heard of is empty.
async fn open_head(
    leader: &Leader,
    state: &mut LaneState,
    command: &ReceiveEvents,
    change: &mut ChangeSet,
) -> Result<PendingHead, CommandError> {
    let room_id = <&RoomId>::try_from(command.room_id.as_str()).map_err(|_| CommandError::Malformed("room_id"))?;
    if let Some(head) = state.find_head(leader, room_id).await?
        && !head.tips.is_empty()
    {
        return Ok(head.clone());
    }
    removals::require_open(leader, room_id).await?;
    // Of a room that was deleted, a head without events.
    if let Some(head) = state.find_head(leader, room_id).await? {
        return Ok(head.clone());
    }
    match leader.store.room(room_id).await? {
        // Outliers are all there is of it.
        Some(info) => Ok(PendingHead::empty(info)),
        None => Ok(begin_room(
            leader,
            room_id.to_owned(),
            version(command.room_version)?,
            change,
        )),
    }
}

/// Why an event cannot be put in its place now.
enum Verdict {
    Stored(EventStatus, Option<String>),
    Known(EventStatus),
    Invalid(String),
    Missing(Vec<OwnedEventId>),
}

async fn receive(
    leader: &Leader,
    head: &mut PendingHead,
    event: &ReceivedEvent,
    filling: Option<&mut Filling>,
    change: &mut ChangeSet,
) -> Result<EventOutcome, CommandError> {
    let rules = head.info.version.rules();
    let body = match EventBody::parse(&event.json, rules) {
        Ok(parsed) => Arc::new(parsed.trust_internal_plane()),
        Err(error) => return Ok(outcome(None, Verdict::Invalid(error.to_string()))),
    };
    let event_id = body.event_id().to_owned();
    let verdict = if body.room_id() == head.info.id {
        judge(leader, head, (body, event), filling, change).await?
    } else {
        Verdict::Invalid("the event is of another room".to_owned())
    };
    Ok(outcome(Some(&event_id), verdict))
}

fn outcome(event_id: Option<&EventId>, verdict: Verdict) -> EventOutcome {
    let status = |status| match status {
        EventStatus::Accepted => Outcome::Accepted,
        EventStatus::Rejected => Outcome::Rejected,
        EventStatus::SoftFailed => Outcome::SoftFailed,
        EventStatus::Outlier => Outcome::Outlier,
    };
    let (outcome, is_new, reason, missing) = match verdict {
        Verdict::Stored(stored, reason) => (status(stored), true, reason, Vec::new()),
        Verdict::Known(known) => (status(known), false, None, Vec::new()),
        Verdict::Invalid(reason) => (Outcome::Invalid, false, Some(reason), Vec::new()),
        Verdict::Missing(missing) => (Outcome::Missing, false, None, missing),
    };
    EventOutcome {
        event_id: event_id.map(ToString::to_string).unwrap_or_default(),
        outcome: outcome.into(),
        is_new,
        reason,
        missing: missing.iter().map(ToString::to_string).collect(),
    }
}

async fn judge(
    leader: &Leader,
    head: &mut PendingHead,
    (body, wanted): (Arc<EventBody>, &ReceivedEvent),
    filling: Option<&mut Filling>,
    change: &mut ChangeSet,
) -> Result<Verdict, CommandError> {
    let known = head.find_event(leader, body.event_id()).await?;
    let outlier = match known {
        Some(known) if known.has_place() || wanted.outlier => {
            return Ok(Verdict::Known(known.status));
        }
        // A room that has begun here has no other place for its create event, but in its history.
        Some(known) if filling.is_none() && known.body.is_state("m.room.create", "") && !head.tips.is_empty() => {
            return Ok(Verdict::Known(known.status));
        }
        known => known.map(|known| known.nid),
    };
    let version = head.info.version;
    let is_chosen = version.rules().event_id == EventIdFormat::Assigned;
    if is_chosen && outlier.is_none() && leader.store.is_event_id_taken(version, body.event_id()).await? {
        return Ok(Verdict::Invalid(
            "the id is that of an event of another room".to_owned(),
        ));
    }
    let auth = match find_all(leader, head, body.auth_events()).await? {
        Ok(auth) => auth,
        Err(missing) => return Ok(Verdict::Missing(missing)),
    };
    let create = find_create(leader, head, &auth).await?;
    // Somebody else of ours may have come in meanwhile: the room goes on from what it has by now.
    let has_begun = !head.tips.is_empty();
    let given = wanted.state_before.as_ref();
    let arrival = Arrival {
        body,
        auth,
        create,
        outlier,
        wanted,
        given: given.filter(|given| !(given.partial && has_begun)),
    };
    if let Err(error) = arrival.check_auth_events(head.info.version) {
        return arrival.store_rejected(leader, head, error, change).await;
    }
    if wanted.outlier {
        let growth = head.growth(leader);
        let place = arrival.place(NodeId::EMPTY, EventStatus::Outlier, None);
        return arrival.store(leader, head, (place, growth), change).await;
    }
    arrival.take_place(leader, head, filling, change).await
}
