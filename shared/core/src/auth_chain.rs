//! Auth chains: what the events of a state refer to as allowing them, directly or through others.
//!
//! Events are numbered only after all their auth events are, so numbers fall along every chain, and a walk from the largest number down meets each event
//! after everything that leads to it. Nothing is loaded here: what is not in memory is named in [`MissingChains`], and the caller loads it and asks again.
//! A caller does well to load more than it is asked for: chains are long and thin, and only their next link is known to be missing.
//!
//! Whether an event is in the chain of *some* of a room's whole state is answered from [`ChainCache`], or without one by a walk over that state.

mod cache;
mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub use self::cache::{ChainCache, RoomChains};
use crate::{
    ids::{EventNid, NodeId},
    state::{Compared, Nodes, StateSet},
};

/// The auth events of the events that the caller has in memory.
pub type Edges<'a> = &'a dyn Fn(EventNid) -> Option<Arc<[EventNid]>>;

/// The auth events and state nodes of a room, as far as they are in memory.
#[derive(Clone, Copy)]
pub struct AuthGraph<'a> {
    /// The state nodes.
    pub nodes: Nodes<'a>,
    /// The auth events.
    pub edges: Edges<'a>,
    /// The chains that are known already.
    pub chains: Option<RoomChains<'a>>,
}

impl std::fmt::Debug for AuthGraph<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthGraph").finish_non_exhaustive()
    }
}

/// What has to be loaded before there is an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MissingChains {
    /// State nodes.
    pub nodes: Vec<NodeId>,
    /// Events whose auth events are not known.
    pub auth_parents: Vec<EventNid>,
}

impl MissingChains {
    fn or<T>(self, value: T) -> Result<T, Self> {
        if self.nodes.is_empty() && self.auth_parents.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

/// The auth difference of some states: the events that are in the auth chains of some, but not of all.
///
/// The conflicting events themselves are left out, for they are in question anyway. `pillars` are some events that all states have; any will do, and
/// none, but the newest power levels spare the walk most of its way.
pub fn difference(
    graph: &AuthGraph<'_>,
    states: usize,
    compared: &Compared,
    pillars: &[EventNid],
) -> Result<BTreeSet<EventNid>, MissingChains> {
    let mut candidates = of_some_conflicts(graph, states, compared, pillars)?;
    for (event, _) in compared.conflicts.iter().flat_map(|conflict| &conflict.events) {
        candidates.remove(event);
    }
    if candidates.is_empty() {
        return Ok(candidates);
    }
    common::remove(graph, compared, &candidates)
}

/// The events in the chains of the conflicting events of some states, but not of those of all.
fn of_some_conflicts(
    graph: &AuthGraph<'_>,
    states: usize,
    compared: &Compared,
    pillars: &[EventNid],
) -> Result<BTreeSet<EventNid>, MissingChains> {
    let everyone = StateSet::all(states);
    let mut walk = Walk::new(graph.edges, &everyone);
    for (event, of) in compared.conflicts.iter().flat_map(|conflict| &conflict.events) {
        walk.push_parents(*event, of);
    }
    for event in pillars {
        walk.push_parents(*event, &everyone);
    }
    let mut found = BTreeSet::new();
    // What is left when all states lead to all of it leads nowhere else.
    while walk.partial > 0
        && let Some((event, of)) = walk.pop()
    {
        if of != everyone {
            found.insert(event);
        }
        walk.push_parents(event, &of);
    }
    walk.missing.or(found)
}

/// A walk down auth chains that knows which states lead to each event.
struct Walk<'a> {
    edges: Edges<'a>,
    everyone: &'a StateSet,
    queue: BTreeMap<EventNid, StateSet>,
    /// How many of the queue not all states lead to.
    partial: usize,
    missing: MissingChains,
}

impl<'a> Walk<'a> {
    fn new(edges: Edges<'a>, everyone: &'a StateSet) -> Self {
        Self {
            edges,
            everyone,
            queue: BTreeMap::new(),
            partial: 0,
            missing: MissingChains::default(),
        }
    }

    fn push_parents(&mut self, event: EventNid, states: &StateSet) {
        for parent in parents(self.edges, event, &mut self.missing.auth_parents).iter() {
            let Some(known) = self.queue.get_mut(parent) else {
                self.partial += usize::from(states != self.everyone);
                self.queue.insert(*parent, states.clone());
                continue;
            };
            let was_partial = known != self.everyone;
            known.extend(states);
            self.partial -= usize::from(was_partial && known == self.everyone);
        }
    }

    fn pop(&mut self) -> Option<(EventNid, StateSet)> {
        let (event, states) = self.queue.pop_last()?;
        self.partial -= usize::from(states != *self.everyone);
        Some((event, states))
    }
}

/// The auth events of an event; none if they are missing, which is noted.
fn parents(edges: Edges<'_>, event: EventNid, missing: &mut Vec<EventNid>) -> Arc<[EventNid]> {
    let Some(found) = edges(event) else {
        missing.push(event);
        return Arc::default();
    };
    // Damage must not make a walk go in circles.
    if found.iter().all(|parent| *parent < event) {
        found
    } else {
        found.iter().copied().filter(|parent| *parent < event).collect()
    }
}

/// The conflicted state subgraph: the conflicting events and everything on a way from one of them to another.
pub fn subgraph(edges: Edges<'_>, conflicting: &BTreeSet<EventNid>) -> Result<BTreeSet<EventNid>, MissingChains> {
    let mut missing = MissingChains::default();
    // Below the oldest nothing leads to any.
    let Some(oldest) = conflicting.first() else {
        return Ok(BTreeSet::new());
    };
    let mut queue = conflicting.clone();
    let mut seen = Vec::new();
    while let Some(event) = queue.pop_last() {
        let parents = parents(edges, event, &mut missing.auth_parents);
        queue.extend(parents.iter().filter(|parent| *parent >= oldest));
        seen.push((event, parents));
    }
    let mut leading = BTreeSet::new();
    for (event, parents) in seen.into_iter().rev() {
        if conflicting.contains(&event) || parents.iter().any(|parent| leading.contains(parent)) {
            leading.insert(event);
        }
    }
    missing.or(leading)
}

#[cfg(test)]
mod tests;
