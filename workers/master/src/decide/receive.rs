//! Events from outside: what other servers have said, verified by a worker, and brought here to be put in their places.
//!
//! The checks are those of <https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu> from the fourth on; a worker has made the
//! first three. An event is put in its place only when all that it refers to has one: what is missing is named in the answer, for a worker to fetch.

use std::sync::Arc;

use plexus_core::{
    auth::{self, AuthError, AuthEvent},
    event::EventBody,
    ids::{EventNid, NodeId},
    room_version::RoomVersion,
    row::EventStatus,
};
use plexus_proto::{CommandResult, EventOutcome, ReceiveEvents, ReceivedEvent, event_outcome::Outcome};
use ruma::{EventId, OwnedEventId, RoomId};

use super::{
    Decision,
    create_room::{begin_room, version},
    event::find,
    head::{Growth, Known, LaneState, PendingHead},
    persist::{Place, persist},
    redaction, removals,
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
    let mut outcomes = Vec::with_capacity(command.events.len());
    for event in &command.events {
        outcomes.push(receive(leader, &mut head, event, &mut change).await?);
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

/// An event on its way to its place.
struct Arrival<'a> {
    body: Arc<EventBody>,
    auth: Vec<Known>,
    create: Option<Known>,
    outlier: Option<EventNid>,
    wanted: &'a ReceivedEvent,
}

async fn receive(
    leader: &Leader,
    head: &mut PendingHead,
    event: &ReceivedEvent,
    change: &mut ChangeSet,
) -> Result<EventOutcome, CommandError> {
    let rules = head.info.version.rules();
    let body = match EventBody::parse(&event.json, rules) {
        Ok(parsed) => Arc::new(parsed.trust_internal_plane()),
        Err(error) => return Ok(outcome(None, Verdict::Invalid(error.to_string()))),
    };
    let event_id = body.event_id().to_owned();
    let verdict = if body.room_id() == head.info.id {
        judge(leader, head, (body, event), change).await?
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
    change: &mut ChangeSet,
) -> Result<Verdict, CommandError> {
    let known = head.find_event(leader, body.event_id()).await?;
    let outlier = match known {
        Some(known) if known.status != EventStatus::Outlier || wanted.outlier => {
            return Ok(Verdict::Known(known.status));
        }
        known => known.map(|known| known.nid),
    };
    // In versions 1 and 2 the sender chooses the id.
    if outlier.is_none()
        && leader
            .store
            .is_event_id_taken(head.info.version, body.event_id())
            .await?
    {
        return Ok(Verdict::Invalid(
            "the id is that of an event of another room".to_owned(),
        ));
    }
    let auth = match find_all(leader, head, body.auth_events()).await? {
        Ok(auth) => auth,
        Err(missing) => return Ok(Verdict::Missing(missing)),
    };
    let create = find_create(leader, head, &auth).await?;
    let arrival = Arrival {
        body,
        auth,
        create,
        outlier,
        wanted,
    };
    if let Err(error) = arrival.check_auth_events(head.info.version) {
        return arrival.store_rejected(leader, head, error, change).await;
    }
    if wanted.outlier {
        let growth = head.growth(leader);
        let place = arrival.place(NodeId::EMPTY, EventStatus::Outlier, None);
        return arrival.store(leader, head, (place, growth), change).await;
    }
    arrival.take_place(leader, head, change).await
}

/// The events with these ids, or which of them are not known.
async fn find_all(
    leader: &Leader,
    head: &mut PendingHead,
    ids: &[OwnedEventId],
) -> Result<Result<Vec<Known>, Vec<OwnedEventId>>, CommandError> {
    let (mut found, mut missing) = (Vec::with_capacity(ids.len()), Vec::new());
    for id in ids {
        match head.find_event(leader, id).await? {
            Some(event) => found.push(event),
            None => missing.push(id.clone()),
        }
    }
    Ok(if missing.is_empty() { Ok(found) } else { Err(missing) })
}

/// The create event: the room's, or before the room has any other, the one that the event names or that names the room.
async fn find_create(leader: &Leader, head: &mut PendingHead, auth: &[Known]) -> Result<Option<Known>, CommandError> {
    if let Some(create) = &head.create {
        return Ok(Some(create.clone()));
    }
    if head.info.version.rules().auth.select_create {
        return Ok(auth
            .iter()
            .find(|event| event.body.is_state("m.room.create", ""))
            .cloned());
    }
    let id = head.info.id.as_str().replacen('!', "$", 1);
    match EventId::parse(id) {
        Ok(id) => head.find_event(leader, &id).await,
        Err(_) => Ok(None),
    }
}

impl Arrival<'_> {
    /// The fourth check: whether the events it names may be named, and allow it.
    fn check_auth_events(&self, version: RoomVersion) -> Result<(), AuthError> {
        let rules = version.rules();
        let named: Vec<AuthEvent<'_>> = self.auth.iter().map(auth_event).collect();
        let create = self.create.as_ref().map(auth_event);
        auth::check_auth_events(rules, &self.body, &named, create)?;
        self.check(version, &self.auth)
    }

    /// Whether some events of a state allow it.
    fn check(&self, version: RoomVersion, state: &[Known]) -> Result<(), AuthError> {
        let create = self.create.as_ref().map(|create| &*create.body);
        auth::check(version.rules(), &self.body, create, &|kind, key| find(state, kind, key))
    }

    /// The fifth and sixth check, against the state before the event and the room's.
    async fn take_place(
        self,
        leader: &Leader,
        head: &mut PendingHead,
        change: &mut ChangeSet,
    ) -> Result<Verdict, CommandError> {
        let mut growth = head.growth(leader);
        let before = match self.state_before(leader, head, &mut growth).await? {
            Ok(before) => before,
            Err(missing) => return Ok(Verdict::Missing(missing)),
        };
        let version = head.info.version;
        let allowing = self.allowing(leader, head, (before, &growth)).await?;
        if let Err(error) = self.check(version, &allowing) {
            let place = self.place(before, EventStatus::Rejected, Some(error.to_string()));
            return self.store(leader, head, (place, growth), change).await;
        }
        // The room's state now is asked only where it is another one.
        let is_same = before == head.root || head.tips.is_empty();
        let allowed_now = if is_same {
            Ok(())
        } else {
            self.check(version, &self.allowing(leader, head, (head.root, &growth)).await?)
        };
        if let Err(error) = allowed_now {
            let place = self.place(before, EventStatus::SoftFailed, Some(error.to_string()));
            return self.store(leader, head, (place, growth), change).await;
        }
        let place = self.place(before, EventStatus::Accepted, None);
        let nid = persist(leader, head, place, growth, change).await?;
        redaction::take_effect(leader, head, nid, change).await?;
        Ok(Verdict::Stored(EventStatus::Accepted, None))
    }

    /// The state before the event: what its predecessors come to, or what whoever brings it says.
    async fn state_before(
        &self,
        leader: &Leader,
        head: &mut PendingHead,
        growth: &mut Growth,
    ) -> Result<Result<NodeId, Vec<OwnedEventId>>, CommandError> {
        if let Some(given) = &self.wanted.state_before {
            return given_state(leader, head, &given.event_ids, growth).await;
        }
        let mut missing = Vec::new();
        let mut predecessors = Vec::new();
        for id in self.body.prev_events() {
            match head.find_event(leader, id).await? {
                Some(event) if event.status != EventStatus::Outlier => predecessors.push(event),
                Some(_) | None => missing.push(id.clone()),
            }
        }
        if !missing.is_empty() {
            return Ok(Err(missing));
        }
        head.state_of(leader, &predecessors, growth).await.map(Ok)
    }

    /// The events of a state that decide whether it allows the event.
    async fn allowing(
        &self,
        leader: &Leader,
        head: &mut PendingHead,
        (root, growth): (NodeId, &Growth),
    ) -> Result<Vec<Known>, CommandError> {
        let rules = head.info.version.rules();
        let (kind, sender, content) = (self.body.kind(), self.body.sender().as_str(), self.body.content());
        let mut events = Vec::new();
        for (kind, key) in auth::auth_types(rules, kind, sender, self.body.state_key(), content) {
            events.extend(head.state_event_at(leader, root, growth, (kind, &key)).await?);
        }
        Ok(events)
    }

    fn place(&self, state_before: NodeId, status: EventStatus, reason: Option<String>) -> Place {
        Place {
            status,
            rejected_for: reason,
            state_before,
            auth_parents: self.auth.iter().map(|event| event.nid).collect(),
            outlier: self.outlier,
            ..Place::accepted(Arc::clone(&self.body))
        }
    }

    async fn store_rejected(
        self,
        leader: &Leader,
        head: &mut PendingHead,
        error: AuthError,
        change: &mut ChangeSet,
    ) -> Result<Verdict, CommandError> {
        let mut growth = head.growth(leader);
        // What follows it goes on with the state before it.
        let mut before = NodeId::EMPTY;
        if !self.wanted.outlier {
            match self.state_before(leader, head, &mut growth).await? {
                Ok(state) => before = state,
                Err(missing) => return Ok(Verdict::Missing(missing)),
            }
        }
        let place = self.place(before, EventStatus::Rejected, Some(error.to_string()));
        self.store(leader, head, (place, growth), change).await
    }

    async fn store(
        self,
        leader: &Leader,
        head: &mut PendingHead,
        (place, growth): (Place, Growth),
        change: &mut ChangeSet,
    ) -> Result<Verdict, CommandError> {
        let verdict = Verdict::Stored(place.status, place.rejected_for.clone());
        persist(leader, head, place, growth, change).await?;
        Ok(verdict)
    }
}

fn auth_event(event: &Known) -> AuthEvent<'_> {
    AuthEvent {
        body: &event.body,
        is_rejected: event.status == EventStatus::Rejected,
    }
}

/// A state made of the events with these ids; rejected ones are left out.
async fn given_state(
    leader: &Leader,
    head: &mut PendingHead,
    ids: &[String],
    growth: &mut Growth,
) -> Result<Result<NodeId, Vec<OwnedEventId>>, CommandError> {
    let ids = ids.iter().map(EventId::parse).collect::<Result<Vec<_>, _>>();
    let ids = ids.map_err(|_| CommandError::Malformed("event id"))?;
    let events = match find_all(leader, head, &ids).await? {
        Ok(events) => events,
        Err(missing) => return Ok(Err(missing)),
    };
    let mut entries = Vec::with_capacity(events.len());
    for event in events.iter().filter(|event| event.status != EventStatus::Rejected) {
        let key = event
            .body
            .state_key()
            .ok_or(CommandError::Malformed("a state of other events"))?;
        // It was given a number when the event was stored.
        let key = leader.interner.find_state_key(event.body.kind(), key).await?;
        let key = key.ok_or(CommandError::Damaged("a state event without a state key"))?;
        entries.push((key, event.nid));
    }
    head.insert_state(leader, NodeId::EMPTY, &entries, growth).await.map(Ok)
}
