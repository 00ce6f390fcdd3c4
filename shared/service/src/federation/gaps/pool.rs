//! The events in hand: those that came, and those fetched since, until each has found its place.

use std::{
    collections::{HashMap, HashSet},
    mem,
};

use plexus_core::event::EventBody;
use plexus_proto::{EventOutcome, event_outcome::Outcome};
use plexus_storage::{rooms::RoomInfo, staged_events::StagedEvent};
use ruma::{EventId, OwnedEventId};

use crate::{
    Ctx, ServiceError,
    federation::{Arriving, bring, in_order},
};

/// An event in hand.
struct Held {
    event: EventBody,
    /// What it refers to and the master does not know.
    missing: Vec<OwnedEventId>,
}

/// The events in hand.
pub(super) struct Pool {
    held: Vec<Held>,
    /// Every event that was ever in hand: none comes in twice.
    seen: HashSet<OwnedEventId>,
    /// Those that wait in the database; true if it is time to fetch for them.
    staged: HashMap<OwnedEventId, bool>,
    asked_between: HashSet<OwnedEventId>,
    sought_auth: HashSet<OwnedEventId>,
    tried_state: HashSet<OwnedEventId>,
}

impl Pool {
    pub(super) fn new(waiting: Vec<StagedEvent>, now_ms: i64) -> Self {
        let staged = waiting
            .iter()
            .map(|staged| (staged.event.event_id().to_owned(), staged.retry_at_ms <= now_ms));
        let mut pool = Self {
            held: Vec::new(),
            seen: HashSet::new(),
            staged: staged.collect(),
            asked_between: HashSet::new(),
            sought_auth: HashSet::new(),
            tried_state: HashSet::new(),
        };
        pool.add(waiting.into_iter().map(|staged| staged.event).collect());
        pool
    }

    /// How many events have been in hand.
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    /// Takes in events. How many of them were new.
    pub(super) fn add(&mut self, events: Vec<EventBody>) -> usize {
        let before = self.held.len();
        for event in events {
            if self.seen.insert(event.event_id().to_owned()) {
                let missing = Vec::new();
                self.held.push(Held { event, missing });
            }
        }
        self.held.len() - before
    }

    /// Brings all of them to the master; those that have found a place, or never will, are in hand no longer.
    pub(super) async fn bring(&mut self, ctx: &Ctx, room: &RoomInfo) -> Result<(), ServiceError> {
        let events = in_order(mem::take(&mut self.held).into_iter().map(|held| held.event).collect());
        let outcomes = bring_each(ctx, room, &events).await?;
        for (event, outcome) in events.into_iter().zip(outcomes) {
            match outcome {
                Some(outcome) if outcome.outcome() != Outcome::Missing => {
                    self.settle(ctx, room, event.event_id()).await?;
                }
                Some(outcome) => {
                    let ids = outcome.missing.into_iter().map(EventId::parse);
                    let missing = ids.collect::<Result<_, _>>().map_err(ServiceError::internal)?;
                    self.held.push(Held { event, missing });
                }
                // The master cannot take it, whatever is brought besides.
                None => {}
            }
        }
        Ok(())
    }

    /// An event has found its place.
    pub(super) async fn settle(&mut self, ctx: &Ctx, room: &RoomInfo, event_id: &EventId) -> Result<(), ServiceError> {
        self.held.retain(|held| held.event.event_id() != event_id);
        if self.staged.remove(event_id).is_some() {
            ctx.store.unstage_event(room.nid, event_id).await?;
        }
        Ok(())
    }

    /// Whether anything is to be fetched.
    pub(super) fn lacks_something(&self) -> bool {
        self.wanting().next().is_some()
    }

    /// The events that lack something which is not in hand.
    pub(super) fn ragged(&self, limit: usize) -> Vec<OwnedEventId> {
        let ids = self.wanting().map(|held| held.event.event_id().to_owned());
        ids.take(limit).collect()
    }

    /// Whether it was asked in vain what lies before these.
    pub(super) fn has_asked_between(&self, ids: &[OwnedEventId]) -> bool {
        ids.iter().all(|id| self.asked_between.contains(id))
    }

    /// It was asked in vain what lies before these.
    pub(super) fn note_asked_between(&mut self, ids: Vec<OwnedEventId>) {
        self.asked_between.extend(ids);
    }

    /// Events whose auth events are not known, with these; each is given once.
    pub(super) fn take_lacking_auth(&mut self, limit: usize) -> Vec<(OwnedEventId, Vec<OwnedEventId>)> {
        let mut lacking = Vec::new();
        for held in self.wanting() {
            let is_auth = |id: &&OwnedEventId| held.event.auth_events().contains(id) && !self.is_in_hand(id);
            let missing: Vec<OwnedEventId> = held.missing.iter().filter(is_auth).cloned().collect();
            let event_id = held.event.event_id();
            if !missing.is_empty() && !self.sought_auth.contains(event_id) && lacking.len() < limit {
                lacking.push((event_id.to_owned(), missing));
            }
        }
        self.sought_auth.extend(lacking.iter().map(|(id, _)| id.clone()));
        lacking
    }

    /// Events whose predecessors are not to be had; each is given once.
    pub(super) fn take_edges(&mut self, limit: usize) -> Vec<EventBody> {
        let untried = |held: &&Held| !self.tried_state.contains(held.event.event_id());
        let edges = self.wanting().filter(untried).map(|held| held.event.clone());
        let edges: Vec<EventBody> = edges.take(limit).collect();
        self.tried_state
            .extend(edges.iter().map(|event| event.event_id().to_owned()));
        edges
    }

    /// The events in hand that lack something which is not, if it is their time.
    fn wanting(&self) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(|held| {
            let is_time = self.staged.get(held.event.event_id()).is_none_or(|is_due| *is_due);
            is_time && held.missing.iter().any(|id| !self.is_in_hand(id))
        })
    }

    fn is_in_hand(&self, id: &EventId) -> bool {
        self.held.iter().any(|held| held.event.event_id() == id)
    }
}

/// Brings events together, or if the master does not take them so, one by one: what it cannot take at all has no outcome.
async fn bring_each(
    ctx: &Ctx,
    room: &RoomInfo,
    events: &[EventBody],
) -> Result<Vec<Option<EventOutcome>>, ServiceError> {
    let arriving = events.iter().cloned().map(Arriving::live).collect();
    match bring(ctx, &room.id, room.version, arriving).await {
        Ok(outcomes) => return Ok(outcomes.into_iter().map(Some).collect()),
        Err(error @ ServiceError::Unavailable(_)) => return Err(error),
        Err(error) => tracing::warn!(room.id = %room.id, %error, "events are brought one by one"),
    }
    let mut outcomes = Vec::with_capacity(events.len());
    for event in events {
        let outcome = bring(ctx, &room.id, room.version, vec![Arriving::live(event.clone())]).await;
        match outcome {
            Ok(outcome) => outcomes.extend(outcome.into_iter().map(Some)),
            Err(error @ ServiceError::Unavailable(_)) => return Err(error),
            Err(error) => {
                tracing::warn!(event.id = %event.event_id(), %error, "the master cannot take an event");
                outcomes.push(None);
            }
        }
    }
    Ok(outcomes)
}
