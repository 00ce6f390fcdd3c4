//! State resolution as the specification words it, sentence by sentence, over whole maps of event ids: slow and plain, to hold ours against.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use plexus_core::{
    auth::{PowerLevels, UserLevel, check},
    event::{EventBody, Membership},
    room_version::{RoomVersionRules, StateResolution},
};
use ruma::OwnedEventId;
use sha1::{Digest, Sha1};

/// An event type and a state key.
type Key = (String, String);

/// A state: event ids by type and state key.
pub(crate) type State = BTreeMap<Key, OwnedEventId>;

type Set = BTreeSet<OwnedEventId>;

/// An event and whether it was rejected.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) body: Arc<EventBody>,
    pub(crate) is_rejected: bool,
}

/// All events of a room.
pub(crate) struct Room<'a> {
    pub(crate) rules: &'static RoomVersionRules,
    pub(crate) events: &'a BTreeMap<OwnedEventId, Event>,
    pub(crate) create: &'a EventBody,
}

pub(crate) fn resolve(room: &Room<'_>, states: &[State]) -> State {
    match room.rules.state_resolution {
        StateResolution::V1 => room.resolve_v1(states),
        StateResolution::V2 => room.resolve_v2(states, false),
        StateResolution::V2_1 => room.resolve_v2(states, true),
    }
}

fn key_of(event: &EventBody) -> Key {
    (
        event.kind().to_owned(),
        event.state_key().expect("it is state").to_owned(),
    )
}

impl Room<'_> {
    fn body(&self, id: &OwnedEventId) -> &EventBody {
        &self.events[id].body
    }

    fn resolve_v2(&self, states: &[State], is_v2_1: bool) -> State {
        let (unconflicted, conflicted) = split(states);
        let mut full = conflicted.clone();
        full.extend(self.auth_difference(states));
        if is_v2_1 {
            full.extend(self.subgraph(&conflicted));
        }

        let mut power: Set = full.iter().filter(|id| self.is_power_event(id)).cloned().collect();
        let mut open: Vec<_> = power.iter().cloned().collect();
        // "The events in the auth chain of P which also belong to the full conflicted set": followed within that set, as deployed servers do.
        while let Some(id) = open.pop() {
            for auth in self.body(&id).auth_events() {
                if full.contains(auth) && power.insert(auth.clone()) {
                    open.push(auth.clone());
                }
            }
        }
        let start = if is_v2_1 { State::new() } else { unconflicted.clone() };
        let partial = self.iterate(start, &self.power_ordering(&power));

        let rest: Vec<_> = full.difference(&power).cloned().collect();
        let levels = partial.get(&("m.room.power_levels".to_owned(), String::new())).cloned();
        let mut resolved = self.iterate(partial, &self.mainline_ordering(rest, levels.as_ref()));
        resolved.extend(unconflicted);
        resolved
    }

    pub(crate) fn auth_chain(&self, id: &OwnedEventId) -> Set {
        let mut chain = Set::new();
        let mut open = vec![id.clone()];
        while let Some(id) = open.pop() {
            for auth in self.body(&id).auth_events() {
                if chain.insert(auth.clone()) {
                    open.push(auth.clone());
                }
            }
        }
        chain
    }

    fn auth_difference(&self, states: &[State]) -> Set {
        let chains: Vec<Set> = states
            .iter()
            .map(|state| state.values().flat_map(|id| self.auth_chain(id)).collect())
            .collect();
        let is_in_all = |id: &OwnedEventId| chains.iter().all(|chain| chain.contains(id));
        chains.iter().flatten().filter(|id| !is_in_all(id)).cloned().collect()
    }

    pub(crate) fn subgraph(&self, conflicted: &Set) -> Set {
        let chains: BTreeMap<_, _> = self.events.keys().map(|id| (id, self.auth_chain(id))).collect();
        let mut subgraph = Set::new();
        for from in conflicted {
            for to in conflicted.iter().filter(|to| chains[from].contains(*to)) {
                let between = chains[from].iter().filter(|id| chains[id].contains(to));
                subgraph.extend(between.cloned());
                subgraph.extend([from.clone(), to.clone()]);
            }
        }
        subgraph
    }

    fn is_power_event(&self, id: &OwnedEventId) -> bool {
        let event = self.body(id);
        match event.kind() {
            // Deployed servers count the create event, and only these with an empty state key.
            "m.room.power_levels" | "m.room.join_rules" | "m.room.create" => event.state_key() == Some(""),
            "m.room.member" => {
                let is_removal = matches!(event.membership(), Some(Membership::Leave | Membership::Ban));
                is_removal && event.state_key() != Some(event.sender().as_str())
            }
            _ => false,
        }
    }

    fn power_levels_of(&self, id: &OwnedEventId) -> Option<&OwnedEventId> {
        let mut auth = self.body(id).auth_events().iter();
        auth.find(|auth| self.body(auth).is_state("m.room.power_levels", ""))
    }

    fn power_ordering(&self, events: &Set) -> Vec<OwnedEventId> {
        let rank = |id: &OwnedEventId| {
            let event = self.body(id);
            let levels = self.power_levels_of(id).map(|id| self.body(id));
            let levels = PowerLevels::read(self.rules, self.create, levels);
            let level = levels
                .user_level(event.sender().as_str())
                .unwrap_or(UserLevel::Finite(0));
            (Reverse(level), event.origin_server_ts(), id.clone())
        };
        let mut order: Vec<OwnedEventId> = Vec::new();
        let mut left = events.clone();
        while !left.is_empty() {
            let is_next = |id: &&OwnedEventId| !self.body(id).auth_events().iter().any(|auth| left.contains(auth));
            let next = left.iter().filter(is_next).min_by_key(|id| rank(id));
            let next = next.expect("auth events make no circle").clone();
            left.remove(&next);
            order.push(next);
        }
        order
    }

    fn mainline_ordering(&self, events: Vec<OwnedEventId>, levels: Option<&OwnedEventId>) -> Vec<OwnedEventId> {
        let mut mainline = Vec::new();
        let mut next = levels;
        while let Some(id) = next {
            mainline.push(id.clone());
            next = self.power_levels_of(id);
        }
        let position = |id: &OwnedEventId| {
            let mut next = self.power_levels_of(id);
            while let Some(id) = next {
                if let Some(position) = mainline.iter().position(|other| other == id) {
                    return position;
                }
                next = self.power_levels_of(id);
            }
            usize::MAX
        };
        let mut events = events;
        events.sort_by_key(|id| (Reverse(position(id)), self.body(id).origin_server_ts(), id.clone()));
        events
    }

    fn iterate(&self, mut state: State, events: &[OwnedEventId]) -> State {
        for id in events {
            let event = self.body(id);
            let of_state = |kind: &str, key: &str| {
                let id = state.get(&(kind.to_owned(), key.to_owned()))?;
                (!self.events[id].is_rejected).then(|| self.events[id].body.clone())
            };
            let of_event = |kind: &str, key: &str| {
                let mut auth = event.auth_events().iter().map(|id| &self.events[id]);
                let found = auth.find(|auth| auth.body.is_state(kind, key) && !auth.is_rejected);
                found.map(|auth| auth.body.clone())
            };
            let either = |kind: &str, key: &str| of_state(kind, key).or_else(|| of_event(kind, key));
            if check(self.rules, event, Some(self.create), &either).is_ok() {
                state.insert(key_of(event), id.clone());
            }
        }
        state
    }

    fn resolve_v1(&self, states: &[State]) -> State {
        let mut by_key: BTreeMap<_, Set> = BTreeMap::new();
        for (key, id) in states.iter().flatten() {
            by_key.entry(key.clone()).or_default().insert(id.clone());
        }
        let conflicts: Vec<_> = by_key.iter().filter(|(_, ids)| ids.len() > 1).collect();
        let mut result: State = by_key
            .iter()
            .filter(|(_, ids)| ids.len() == 1)
            .map(|(key, ids)| (key.clone(), ids.first().expect("it has one").clone()))
            .collect();
        let passes: [&dyn Fn(&Key) -> bool; 3] = [
            &|(kind, key)| kind == "m.room.power_levels" && key.is_empty(),
            &|(kind, _)| kind == "m.room.join_rules",
            &|(kind, _)| kind == "m.room.member",
        ];
        for is_in_pass in passes {
            let so_far = result.clone();
            for (key, ids) in conflicts.iter().filter(|(key, _)| is_in_pass(key)) {
                result.insert((*key).clone(), self.settle_auth(&so_far, ids));
            }
        }
        let so_far = result.clone();
        for (key, ids) in conflicts {
            if !so_far.contains_key(key) {
                result.insert(key.clone(), self.settle_other(&so_far, ids));
            }
        }
        result
    }

    /// Ascending depth, then descending hash.
    fn by_depth(&self, ids: &Set) -> Vec<OwnedEventId> {
        let mut ids: Vec<_> = ids.iter().cloned().collect();
        ids.sort_by_key(|id| (self.body(id).depth(), Reverse(Sha1::digest(id.as_bytes()))));
        ids
    }

    fn is_allowed(&self, state: &State, id: &OwnedEventId) -> bool {
        let of_state = |kind: &str, key: &str| {
            let id = state.get(&(kind.to_owned(), key.to_owned()))?;
            (!self.events[id].is_rejected).then(|| self.events[id].body.clone())
        };
        check(self.rules, self.body(id), Some(self.create), &of_state).is_ok()
    }

    fn settle_auth(&self, state: &State, ids: &Set) -> OwnedEventId {
        let sorted = self.by_depth(ids);
        let mut state = state.clone();
        let mut chosen = sorted[0].clone();
        for id in &sorted[1..] {
            state.insert(key_of(self.body(id)), chosen.clone());
            if !self.is_allowed(&state, id) {
                break;
            }
            chosen = id.clone();
        }
        chosen
    }

    fn settle_other(&self, state: &State, ids: &Set) -> OwnedEventId {
        let sorted = self.by_depth(ids);
        let allowed = sorted.iter().rev().find(|id| self.is_allowed(state, id));
        // The specification says nothing of the case in which none is; deployed servers keep the oldest.
        allowed.unwrap_or(&sorted[0]).clone()
    }
}

/// The unconflicted state map and the conflicted state set.
pub(crate) fn split(states: &[State]) -> (State, Set) {
    let (mut unconflicted, mut conflicted) = (State::new(), Set::new());
    for (key, id) in states.iter().flatten() {
        if states.iter().all(|state| state.get(key) == Some(id)) {
            unconflicted.insert(key.clone(), id.clone());
        } else {
            conflicted.insert(id.clone());
        }
    }
    (unconflicted, conflicted)
}
