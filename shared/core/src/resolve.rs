//! State resolution: what a room's state is where its history has forked.
//!
//! [`resolve`] takes the states at the ends of all branches and gives the one state that every server arrives at, as changes to one of them. It works on
//! what the states do not agree on, by interned ids, and costs little where they agree on nearly everything.
//!
//! Nothing is loaded here. What is not in memory is named in [`Missing`], as much of it as can be known; the caller loads it and asks again. It always
//! takes all the states: resolution is not associative, so a result must never stand in for the states it was made from.
//!
//! See <https://spec.matrix.org/v1.19/rooms/v2/#state-resolution> (and the pages of versions 1 and 12). Where a sentence there can be read in more than one
//! way, we do what the servers in use do, and say so: the one thing a resolution must be is the same everywhere.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    auth_chain::{AuthGraph, MissingChains, RoomChains},
    event::EventBody,
    ids::{EventNid, NodeId, StateKeyNid},
    room_version::{RoomVersionRules, StateResolution},
    state::{Compared, Node, compare, get},
};

mod candidates;
mod mainline;
mod partial;
mod power_order;
mod v1;
mod v2;

/// What resolution needs to know of a room, as far as it is in memory.
pub trait Facts {
    /// A node of the room's state.
    fn node(&self, id: NodeId) -> Option<Arc<Node>>;

    /// An event of the room.
    fn event(&self, event: EventNid) -> Option<Known>;

    /// The auth events of an event that is in a state or an auth chain.
    ///
    /// Whoever is asked to load these does well to load those of their auth events too, and so on: only the next link of a chain is known to be missing.
    fn auth_parents(&self, event: EventNid) -> Option<Arc<[EventNid]>>;

    /// The id of a pair of event type and state key: none if it is not in memory, none inside if it is known that there is no such pair.
    fn state_key(&self, kind: &str, state_key: &str) -> Option<Option<StateKeyNid>>;

    /// The room's create event.
    fn create(&self) -> Arc<EventBody>;
}

/// An event, and whether it was rejected.
#[derive(Clone, Debug)]
pub struct Known {
    /// The event.
    pub body: Arc<EventBody>,
    /// Whether it was rejected. No state holds a rejected event, but a chain that another server told us may.
    pub is_rejected: bool,
}

/// What has to be loaded before there is a result: everything that is known to be missing so far.
///
/// A damaged trie makes for an answer that names what is in memory already; so a caller that is asked for nothing else must give up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Nodes of the state.
    pub nodes: Vec<NodeId>,
    /// Events.
    pub events: Vec<EventNid>,
    /// Events whose auth events are not known.
    pub auth_parents: Vec<EventNid>,
    /// Pairs of event type and state key.
    pub state_keys: Vec<(String, String)>,
}

impl Missing {
    /// Whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.events.is_empty() && self.auth_parents.is_empty() && self.state_keys.is_empty()
    }

    /// The value, if nothing is missing.
    fn or<T>(mut self, value: T) -> Result<T, Self> {
        if self.is_empty() {
            return Ok(value);
        }
        sort(&mut self.nodes);
        sort(&mut self.events);
        sort(&mut self.auth_parents);
        sort(&mut self.state_keys);
        Err(self)
    }
}

fn sort<T: Ord>(list: &mut Vec<T>) {
    list.sort_unstable();
    list.dedup();
}

impl From<MissingChains> for Missing {
    fn from(MissingChains { nodes, auth_parents }: MissingChains) -> Self {
        let missing = Self {
            nodes,
            auth_parents,
            ..Self::default()
        };
        missing.or(()).err().unwrap_or_default()
    }
}

/// The resolved state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// One of the states that were resolved.
    pub base: NodeId,
    /// What to set and remove in it, by key.
    pub changes: Vec<(StateKeyNid, Option<EventNid>)>,
    /// How many events were in question.
    pub conflicted: usize,
}

/// Resolves the states at `roots`. Neither their order matters to the result nor whether one is there twice.
///
/// `chains` is what earlier resolutions of the room remember of its auth chains; without it the result is the same.
pub fn resolve(
    rules: &'static RoomVersionRules,
    roots: &[NodeId],
    facts: &dyn Facts,
    chains: Option<RoomChains<'_>>,
) -> Result<Resolved, Missing> {
    let roots: Vec<_> = roots.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let base = roots.first().copied().unwrap_or_default();
    let compared = match roots.len() {
        0 | 1 => Compared::default(),
        _ => compare(&roots, &|id| facts.node(id)).map_err(|nodes| Missing {
            nodes,
            ..Missing::default()
        })?,
    };
    if compared.conflicts.is_empty() {
        return Ok(Resolved {
            base,
            changes: Vec::new(),
            conflicted: 0,
        });
    }
    let room = Room {
        rules,
        facts,
        create: facts.create(),
        states: roots.len(),
        base,
        compared: &compared,
    };
    match rules.state_resolution {
        StateResolution::V1 => v1::resolve(&room),
        StateResolution::V2 | StateResolution::V2_1 => v2::resolve(&room, chains),
    }
}

/// What all steps of a resolution need.
struct Room<'a> {
    rules: &'static RoomVersionRules,
    facts: &'a dyn Facts,
    create: Arc<EventBody>,
    states: usize,
    /// The first of the states.
    base: NodeId,
    compared: &'a Compared,
}

impl Room<'_> {
    /// Lends what is known of the auth chains.
    fn with_graph<T>(&self, chains: Option<RoomChains<'_>>, ask: impl FnOnce(&AuthGraph<'_>) -> T) -> T {
        ask(&AuthGraph {
            nodes: &|id| self.facts.node(id),
            edges: &|event| self.facts.auth_parents(event),
            chains,
        })
    }

    /// Where among the conflicts a key is, if it is one.
    fn conflict(&self, key: StateKeyNid) -> Option<usize> {
        let conflicts = &self.compared.conflicts;
        conflicts.binary_search_by_key(&key, |conflict| conflict.key).ok()
    }

    /// The event that all states have for a key, or the first state has, if it is no conflict.
    fn agreed(&self, key: StateKeyNid, missing: &mut Missing) -> Option<EventNid> {
        if self.conflict(key).is_some() {
            return None;
        }
        match get(self.base, key, &|id| self.facts.node(id)) {
            Ok(found) => found,
            Err(node) => {
                missing.nodes.push(node.0);
                None
            }
        }
    }

    /// The id of a type and state key.
    fn state_key(&self, kind: &str, state_key: &str, missing: &mut Missing) -> Option<StateKeyNid> {
        self.facts.state_key(kind, state_key).unwrap_or_else(|| {
            missing.state_keys.push((kind.to_owned(), state_key.to_owned()));
            None
        })
    }

    /// The changes that lead from the first state to one in which keys that are not agreed on have these events.
    fn changes(
        &self,
        outcome: impl Iterator<Item = (StateKeyNid, Option<EventNid>)>,
    ) -> Vec<(StateKeyNid, Option<EventNid>)> {
        let in_base = |key| self.compared.conflicts[self.conflict(key)?].in_state(0);
        let mut changes: Vec<_> = outcome.filter(|(key, event)| in_base(*key) != *event).collect();
        changes.sort_unstable();
        changes
    }
}
