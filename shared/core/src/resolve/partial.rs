//! The state that a resolution builds up, and whether it allows an event.
//!
//! Keys are numbered by [`Slots`] before anything is tried, so that trying an event compares strings with those of the event itself and looks nothing up.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use super::{
    Known, Missing, Room,
    candidates::{Candidate, Candidates},
};
use crate::{
    auth::{AuthError, check},
    event::EventBody,
    ids::{EventNid, StateKeyNid},
};

/// What a resolution starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// What all states agree on.
    Agreed,
    /// Nothing.
    Empty,
    /// What no two states disagree on, though some may lack it.
    Undisputed,
}

/// An event and its number.
type Entry = (EventNid, Known);

/// A key of the state that is built up.
#[derive(Debug)]
struct Slot {
    key: Option<StateKeyNid>,
    /// Whether all states have the same event for it.
    is_agreed: bool,
    /// Which of the conflicts it is, if it is one.
    conflict: Option<usize>,
    value: Option<Entry>,
}

/// Where an event's keys are among the slots.
#[derive(Clone, Copy, Debug)]
struct Keys {
    own: usize,
    sender: usize,
}

/// The state that is built up.
pub(super) struct Partial<'a> {
    room: &'a Room<'a>,
    candidates: &'a Candidates,
    start: Start,
    slots: Vec<Slot>,
    numbered: Numbered<'a>,
    power_levels: usize,
    join_rules: usize,
    /// By candidate.
    keys: Vec<Keys>,
}

impl<'a> Partial<'a> {
    /// The state to start from, with everything loaded that trying the candidates will usually need.
    pub(super) fn new(room: &'a Room<'a>, candidates: &'a Candidates, start: Start) -> Result<Self, Missing> {
        let mut slots = Slots {
            room,
            start,
            numbered: Numbered::default(),
            all: Vec::new(),
            missing: Missing::default(),
        };
        let power_levels = slots.number("m.room.power_levels", "");
        let join_rules = slots.number("m.room.join_rules", "");
        let keys = candidates
            .all()
            .iter()
            .map(|candidate| Keys {
                own: slots.number(candidate.body.kind(), candidate.state_key()),
                sender: slots.number("m.room.member", candidate.body.sender().as_str()),
            })
            .collect();
        slots.missing.or(Self {
            room,
            candidates,
            start,
            slots: slots.all,
            numbered: slots.numbered,
            power_levels,
            join_rules,
            keys,
        })
    }

    /// Tries candidates one after the other, and takes those that are allowed.
    pub(super) fn try_all(&mut self, order: &[usize]) -> Result<(), Missing> {
        for at in order {
            if self.allows(*at)?.is_ok() {
                self.set(*at);
            }
        }
        Ok(())
    }

    /// Whether the state as it is allows a candidate.
    pub(super) fn allows(&self, at: usize) -> Result<Result<(), AuthError>, Missing> {
        let candidate = &self.candidates.all()[at];
        let missing = RefCell::new(Missing::default());
        let state = |kind: &str, state_key: &str| self.lookup(at, kind, state_key, &missing);
        let verdict = check(self.room.rules, &candidate.body, Some(&self.room.create), &state);
        missing.into_inner().or(verdict)
    }

    /// Takes a candidate into the state.
    pub(super) fn set(&mut self, at: usize) {
        let candidate = &self.candidates.all()[at];
        self.slots[self.keys[at].own].value = Some((candidate.event, candidate.known()));
    }

    /// Takes a candidate, or whatever has its key, out of the state.
    pub(super) fn unset(&mut self, at: usize) {
        self.slots[self.keys[at].own].value = None;
    }

    /// The conflict that a candidate's key is, if it is one.
    pub(super) fn conflict(&self, at: usize) -> Option<usize> {
        self.slots[self.keys[at].own].conflict
    }

    /// The room's power levels.
    pub(super) fn power_levels(&self) -> Option<EventNid> {
        self.slots[self.power_levels].value.as_ref().map(|(event, _)| *event)
    }

    /// What has become of the keys that the states do not agree on.
    ///
    /// They may be more than the conflicts: a key that no state has may come from an auth chain.
    pub(super) fn outcome(&self) -> impl Iterator<Item = (StateKeyNid, Option<EventNid>)> {
        let value = |slot: &Slot| slot.value.as_ref().map(|(event, _)| *event);
        let open = self.slots.iter().filter(|slot| !slot.is_agreed);
        open.filter_map(move |slot| Some((slot.key?, value(slot))))
    }

    /// The event that a candidate is to be judged by: the state's, or else its own auth event; never a rejected one.
    fn lookup(&self, at: usize, kind: &str, state_key: &str, missing: &RefCell<Missing>) -> Option<Arc<EventBody>> {
        let candidate = &self.candidates.all()[at];
        let elsewhere;
        let value = if let Some(slot) = self.slot_of(candidate, self.keys[at], kind, state_key) {
            &self.slots[slot].value
        } else {
            let mut missing = missing.borrow_mut();
            let key = self.room.state_key(kind, state_key, &mut missing);
            elsewhere = initial(self.room, self.start, key, &mut missing).value;
            &elsewhere
        };
        let accepted = |entry: &&Entry| !entry.1.is_rejected;
        let of_event = || candidate.auth_event(kind, state_key).filter(accepted);
        let (_, known) = value.as_ref().filter(accepted).or_else(of_event)?;
        Some(known.body.clone())
    }
}

impl Partial<'_> {
    /// The slot of a key, if it has one. What rules ask for is nearly always one of the first four.
    fn slot_of(&self, candidate: &Candidate, keys: Keys, kind: &str, state_key: &str) -> Option<usize> {
        match kind {
            "m.room.power_levels" if state_key.is_empty() => Some(self.power_levels),
            "m.room.join_rules" if state_key.is_empty() => Some(self.join_rules),
            "m.room.member" if candidate.body.sender() == state_key => Some(keys.sender),
            "m.room.member" if candidate.body.is_state(kind, state_key) => Some(keys.own),
            _ => self.numbered.find(self.room, kind, state_key),
        }
    }
}

/// Numbers keys.
struct Slots<'a> {
    room: &'a Room<'a>,
    start: Start,
    numbered: Numbered<'a>,
    all: Vec<Slot>,
    missing: Missing,
}

impl<'a> Slots<'a> {
    fn number(&mut self, kind: &'a str, state_key: &'a str) -> usize {
        let key = self.room.state_key(kind, state_key, &mut self.missing);
        let (next, numbered) = (self.all.len(), &mut self.numbered);
        let slot = match key {
            Some(key) => *numbered.by_key.entry(key).or_insert(next),
            None => *numbered.by_name.entry((kind, state_key)).or_insert(next),
        };
        if slot == next {
            self.all.push(initial(self.room, self.start, key, &mut self.missing));
        }
        slot
    }
}

/// Where keys are among the slots.
#[derive(Default)]
struct Numbered<'a> {
    by_key: BTreeMap<StateKeyNid, usize>,
    /// Those that no state ever had.
    by_name: BTreeMap<(&'a str, &'a str), usize>,
}

impl Numbered<'_> {
    fn find(&self, room: &Room<'_>, kind: &str, state_key: &str) -> Option<usize> {
        let key = room.facts.state_key(kind, state_key).flatten();
        let by_key = key.and_then(|key| self.by_key.get(&key));
        by_key.or_else(|| self.by_name.get(&(kind, state_key))).copied()
    }
}

/// A key as it is before anything is tried.
fn initial(room: &Room<'_>, start: Start, key: Option<StateKeyNid>, missing: &mut Missing) -> Slot {
    let conflict = key.and_then(|key| room.conflict(key));
    let agreed = key.and_then(|key| room.agreed(key, missing));
    let event = match start {
        Start::Empty => None,
        Start::Agreed => agreed,
        Start::Undisputed => agreed.or_else(|| undisputed(room, conflict?)),
    };
    let value = event.and_then(|event| {
        let known = room.facts.event(event);
        if known.is_none() {
            missing.events.push(event);
        }
        Some((event, known?))
    });
    Slot {
        key,
        is_agreed: agreed.is_some(),
        conflict,
        value,
    }
}

/// The one event that any state has for a key.
fn undisputed(room: &Room<'_>, conflict: usize) -> Option<EventNid> {
    match &room.compared.conflicts[conflict].events[..] {
        [(event, _)] => Some(*event),
        _ => None,
    }
}
