//! One event from outside on its way to its place: the checks against its auth events, the state before it and the room's state.

use std::sync::Arc;

use plexus_core::{
    auth::{self, AuthError, AuthEvent},
    event::EventBody,
    ids::{EventNid, NodeId},
    room_version::RoomVersion,
    row::{EventStatus, Membership, Row},
    state::RoomState,
};
use plexus_proto::{GivenState, ReceivedEvent};
use plexus_storage::partial_rooms::{self, PartialRoom};
use ruma::{EventId, OwnedEventId, ServerName};

use super::{
    Verdict,
    history::{Filling, missing},
};
use crate::{
    change_set::ChangeSet,
    decide::{
        event::find,
        head::{Growth, Known, PendingHead},
        persist::{Place, Spot, persist},
        redaction,
    },
    error::CommandError,
    leader::Leader,
};

/// Servers in a room that is partial that are noted.
const PARTIAL_SERVERS_MAX: usize = 10_000;

/// An event on its way to its place.
pub(super) struct Arrival<'a> {
    pub(super) body: Arc<EventBody>,
    pub(super) auth: Vec<Known>,
    pub(super) create: Option<Known>,
    pub(super) outlier: Option<EventNid>,
    pub(super) wanted: &'a ReceivedEvent,
    /// The state before it, as whoever brings it says; none where what is known of the room counts instead.
    pub(super) given: Option<&'a GivenState>,
}

/// The events with these ids, or which of them are not known.
pub(super) async fn find_all(
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
pub(super) async fn find_create(
    leader: &Leader,
    head: &mut PendingHead,
    auth: &[Known],
) -> Result<Option<Known>, CommandError> {
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
    pub(super) fn check_auth_events(&self, version: RoomVersion) -> Result<(), AuthError> {
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

    /// The pieces of a state that decide whether it allows the event.
    fn auth_types(&self, version: RoomVersion) -> Vec<(&'static str, String)> {
        let (kind, sender, content) = (self.body.kind(), self.body.sender().as_str(), self.body.content());
        auth::auth_types(version.rules(), kind, sender, self.body.state_key(), content)
    }

    /// The fifth and sixth check, against the state before the event and the room's.
    pub(super) async fn take_place(
        self,
        leader: &Leader,
        head: &mut PendingHead,
        filling: Option<&mut Filling>,
        change: &mut ChangeSet,
    ) -> Result<Verdict, CommandError> {
        let mut growth = head.growth(leader);
        let before = match self.state_before(leader, head, &mut growth).await? {
            Ok(before) => before,
            Err(missing) => return Ok(Verdict::Missing(missing)),
        };
        let version = head.info.version;
        let types = self.auth_types(version);
        let is_partial = self.given.is_some_and(|given| given.partial);
        let state = if is_partial {
            RoomState::Partial(before)
        } else {
            head.known_state(before)
        };
        let allowing = self.allowing(leader, head, (state, &types), &growth).await?;
        if let Err(error) = self.check(version, &allowing) {
            let place = self.place(before, EventStatus::Rejected, Some(error.to_string()));
            return self.store(leader, head, (place, growth), change).await;
        }
        if let Some(filling) = filling {
            return self
                .take_place_in_history(leader, head, filling, (before, growth), change)
                .await;
        }
        // The room's state now is asked only where it is another one.
        let begins_anew = self.begins_anew(leader, head).await?;
        let is_same = before == head.root || head.tips.is_empty() || begins_anew;
        let allowed_now = if is_same {
            Ok(())
        } else {
            let now = self.state_now(leader, head, before, &mut growth).await?;
            let now = (head.known_state(now), &*types);
            self.check(version, &self.allowing(leader, head, now, &growth).await?)
        };
        if let Err(error) = allowed_now {
            let place = self.place(before, EventStatus::SoftFailed, Some(error.to_string()));
            return self.store(leader, head, (place, growth), change).await;
        }
        let has_gap = self.given.is_some() && !missing(leader, head, self.body.prev_events()).await?.is_empty();
        let place = Place {
            spot: if has_gap { Spot::AfterGap } else { Spot::End },
            ..self.place(before, EventStatus::Accepted, None)
        };
        if begins_anew {
            head.tips.clear();
        }
        // In a room that begins here with a state from elsewhere, the create event is an outlier.
        head.create = head.create.take().or(self.create);
        let nid = persist(leader, head, place, growth, change).await?;
        redaction::take_effect(leader, head, nid, change).await?;
        if let Some(given) = self.given.filter(|given| given.partial) {
            begin_partial(head, nid, given, change)?;
        }
        Ok(Verdict::Stored(EventStatus::Accepted, None))
    }

    /// The room's state now. After a hole in the history it is also what has come about in the hole: whoever came in there may speak.
    async fn state_now(
        &self,
        leader: &Leader,
        head: &PendingHead,
        before: NodeId,
        growth: &mut Growth,
    ) -> Result<NodeId, CommandError> {
        if self.given.is_none() {
            return Ok(head.root);
        }
        let ends = head.tips.iter().map(|tip| tip.state_after);
        head.resolved_state(leader, ends.chain([before]).collect(), growth)
            .await
    }

    /// The events of a state that decide whether it allows the event. Members that are not here are who the event's own auth events say they are, until
    /// the state is complete and everything is looked at again.
    async fn allowing(
        &self,
        leader: &Leader,
        head: &mut PendingHead,
        (state, types): (RoomState, &[(&'static str, String)]),
        growth: &Growth,
    ) -> Result<Vec<Known>, CommandError> {
        let mut allowing = head.state_events_at(leader, types, (state.root(), growth)).await?;
        for (kind, key) in types {
            let is_there = allowing.iter().any(|event| event.body.is_state(kind, key));
            if !is_there && !state.tells_absence_of(kind) {
                let said = self.auth.iter().filter(|event| event.status != EventStatus::Rejected);
                allowing.extend(said.filter(|event| event.body.is_state(kind, key)).cloned());
            }
        }
        Ok(allowing)
    }

    /// What is history needs not be allowed by the room's state now.
    async fn take_place_in_history(
        self,
        leader: &Leader,
        head: &mut PendingHead,
        filling: &mut Filling,
        (before, growth): (NodeId, Growth),
        change: &mut ChangeSet,
    ) -> Result<Verdict, CommandError> {
        let place = Place {
            spot: filling.spot(),
            ..self.place(before, EventStatus::Accepted, None)
        };
        let nid = persist(leader, head, place, growth, change).await?;
        redaction::take_effect(leader, head, nid, change).await?;
        filling.placed(head.event(leader, nid).await?);
        Ok(Verdict::Stored(EventStatus::Accepted, None))
    }

    /// Whether this server comes into the room with the event. What it had known of the room is from when it was last in it: it goes on from the state
    /// that comes with the event.
    async fn begins_anew(&self, leader: &Leader, head: &PendingHead) -> Result<bool, CommandError> {
        let is_own_join = |body: &EventBody| {
            body.membership() == Some(Membership::Join)
                && body.state_key() == Some(body.sender().as_str())
                && body.sender().server_name() == leader.server_name
        };
        if self.given.is_none() || !is_own_join(&self.body) {
            return Ok(false);
        }
        let is_pending = head.tips.iter().any(|tip| is_own_join(&tip.body));
        let servers = leader.store.room_servers(head.info.nid).await?;
        Ok(!is_pending && !servers.contains(&leader.server_name))
    }

    /// The state before the event: what its predecessors come to, or what whoever brings it says.
    async fn state_before(
        &self,
        leader: &Leader,
        head: &mut PendingHead,
        growth: &mut Growth,
    ) -> Result<Result<NodeId, Vec<OwnedEventId>>, CommandError> {
        if let Some(given) = self.given {
            return given_state(leader, head, &given.event_ids, growth).await;
        }
        let mut predecessors = Vec::new();
        for id in self.body.prev_events() {
            match head.find_event(leader, id).await? {
                Some(event) if event.has_place() => predecessors.push(event),
                Some(_) | None => return missing(leader, head, self.body.prev_events()).await.map(Err),
            }
        }
        head.state_of(leader, &predecessors, growth).await.map(Ok)
    }

    pub(super) fn place(&self, state_before: NodeId, status: EventStatus, reason: Option<String>) -> Place {
        Place {
            status,
            rejected_for: reason,
            state_before,
            auth_parents: self.auth.iter().map(|event| event.nid).collect(),
            outlier: self.outlier,
            outgoing: self.wanted.relay && status == EventStatus::Accepted,
            ..Place::accepted(Arc::clone(&self.body))
        }
    }

    pub(super) async fn store_rejected(
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

    pub(super) async fn store(
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

/// Notes that the room has begun with a part of its state.
fn begin_partial(
    head: &mut PendingHead,
    event: EventNid,
    given: &GivenState,
    change: &mut ChangeSet,
) -> Result<(), CommandError> {
    let servers = given.servers.iter().take(PARTIAL_SERVERS_MAX).map(ServerName::parse);
    let servers = servers.collect::<Result<Vec<_>, _>>();
    let room = head.info.nid;
    head.partial = Some(event);
    change.statements.push(partial_rooms::insert(&PartialRoom {
        room,
        event,
        servers: servers.map_err(|_| CommandError::Malformed("a server's name"))?,
    }));
    change.rows.push(Row::Partial { room });
    Ok(())
}

/// A state made of the events with these ids; rejected ones are left out.
pub(in crate::decide) async fn given_state(
    leader: &Leader,
    head: &mut PendingHead,
    ids: &[String],
    growth: &mut Growth,
) -> Result<Result<NodeId, Vec<OwnedEventId>>, CommandError> {
    let ids = ids.iter().map(EventId::parse).collect::<Result<Vec<_>, _>>();
    let ids = ids.map_err(|_| CommandError::Malformed("event id"))?;
    let (mut entries, mut missing) = (Vec::with_capacity(ids.len()), Vec::new());
    // One after the other: the events of a large state would be much in memory.
    for id in ids {
        let Some(event) = head.find_event(leader, &id).await? else {
            missing.push(id);
            continue;
        };
        if event.status == EventStatus::Rejected {
            continue;
        }
        let key = event
            .body
            .state_key()
            .ok_or(CommandError::Malformed("a state of other events"))?;
        // It was given a number when the event was stored.
        let key = leader.interner.find_state_key(event.body.kind(), key).await?;
        let key = key.ok_or(CommandError::Damaged("a state event without a state key"))?;
        entries.push((key, event.nid));
    }
    if !missing.is_empty() {
        return Ok(Err(missing));
    }
    head.insert_state(leader, NodeId::EMPTY, &entries, growth).await.map(Ok)
}
