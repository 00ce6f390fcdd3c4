//! The events in question, loaded, with the events they name as allowing them.

use std::sync::Arc;

use super::{Known, Missing, Room};
use crate::{event::EventBody, ids::EventNid};

/// An event in question.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) event: EventNid,
    pub(super) body: Arc<EventBody>,
    is_rejected: bool,
    /// Its auth events; in resolution v1, which does not look at them, none.
    pub(super) auth: Vec<(EventNid, Known)>,
}

impl Candidate {
    pub(super) fn state_key(&self) -> &str {
        self.body.state_key().unwrap_or_default()
    }

    pub(super) fn known(&self) -> Known {
        Known {
            body: self.body.clone(),
            is_rejected: self.is_rejected,
        }
    }

    /// The event of a type and state key that it names as allowing it.
    pub(super) fn auth_event(&self, kind: &str, state_key: &str) -> Option<&(EventNid, Known)> {
        self.auth.iter().find(|(_, known)| known.body.is_state(kind, state_key))
    }

    /// Whether it might take away someone's ability to do something.
    ///
    /// The specification does not ask for an empty state key and does not name the create event, but servers in use do both.
    pub(super) fn is_power_event(&self) -> bool {
        match self.body.kind() {
            "m.room.power_levels" | "m.room.join_rules" | "m.room.create" => self.state_key().is_empty(),
            "m.room.member" => {
                use crate::event::Membership::{Ban, Leave};
                matches!(self.body.membership(), Some(Leave | Ban)) && self.body.sender() != self.state_key()
            }
            _ => false,
        }
    }
}

/// All events in question, by number.
#[derive(Debug)]
pub(super) struct Candidates(Vec<Candidate>);

impl Candidates {
    /// Loads the events, given in order, and their auth events if asked.
    pub(super) fn load(
        room: &Room<'_>,
        events: impl Iterator<Item = EventNid>,
        with_auth: bool,
    ) -> Result<Self, Missing> {
        let mut missing = Missing::default();
        let mut loaded = Vec::new();
        for event in events {
            let auth = if with_auth {
                load_auth(room, event, &mut missing)
            } else {
                Vec::new()
            };
            match room.facts.event(event) {
                None => missing.events.push(event),
                // Nothing else is ever in a chain, unless it is damaged.
                Some(known) if known.body.state_key().is_none() => {}
                Some(Known { body, is_rejected }) => loaded.push(Candidate {
                    event,
                    body,
                    is_rejected,
                    auth,
                }),
            }
        }
        missing.or(Self(loaded))
    }

    pub(super) fn all(&self) -> &[Candidate] {
        &self.0
    }

    /// Where an event is among them, if it is.
    pub(super) fn position(&self, event: EventNid) -> Option<usize> {
        self.0.binary_search_by_key(&event, |candidate| candidate.event).ok()
    }
}

fn load_auth(room: &Room<'_>, event: EventNid, missing: &mut Missing) -> Vec<(EventNid, Known)> {
    let Some(parents) = room.facts.auth_parents(event) else {
        missing.auth_parents.push(event);
        return Vec::new();
    };
    let mut auth = Vec::with_capacity(parents.len());
    for parent in &*parents {
        match room.facts.event(*parent) {
            Some(known) => auth.push((*parent, known)),
            None => missing.events.push(*parent),
        }
    }
    auth
}
