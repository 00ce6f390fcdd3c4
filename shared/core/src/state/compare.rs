//! What any number of tries do not agree on, at the cost of the difference.
//!
//! All tries are walked at once, and subtrees with equal ids are not looked at. Unlike [`diff`](super::diff()) this names every node that is missing, and
//! not only the first: resolution starts with nothing in memory, and loads a level at a time.

use std::{collections::BTreeMap, sync::Arc};

use smallvec::{SmallVec, smallvec};

use super::{Child, Node, Nodes, SLOTS_MAX, Shape, child_at};
use crate::ids::{EventNid, NodeId, StateKeyNid};

/// Some of the states that are compared, as bits by their index. Nearly always one word: forks have few branches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateSet(SmallVec<[u64; 1]>);

impl StateSet {
    /// None of `states` states.
    pub fn none(states: usize) -> Self {
        Self(smallvec![0; states.div_ceil(64).max(1)])
    }

    /// All of `states` states.
    pub fn all(states: usize) -> Self {
        let mut set = Self::none(states);
        for state in 0..states {
            set.insert(state);
        }
        set
    }

    /// Adds a state.
    pub fn insert(&mut self, state: usize) {
        self.0[state / 64] |= 1 << (state % 64);
    }

    /// Whether a state is one of them.
    pub fn contains(&self, state: usize) -> bool {
        self.0[state / 64] & 1 << (state % 64) != 0
    }

    /// Adds the states of another set.
    pub fn extend(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }
}

/// A key that the states do not agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The key.
    pub key: StateKeyNid,
    /// The different events that the states have for it, and which of them have each. Not every state needs to have one.
    pub events: Vec<(EventNid, StateSet)>,
}

impl Conflict {
    /// The event that a state has for this key.
    pub fn in_state(&self, state: usize) -> Option<EventNid> {
        let found = self.events.iter().find(|(_, states)| states.contains(state));
        found.map(|(event, _)| *event)
    }
}

/// What states have in common and what not. Every entry of every state is in exactly one of the three.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    /// What they do not agree on, by key.
    pub conflicts: Vec<Conflict>,
    /// The largest subtrees that they all have.
    pub shared: Vec<Child>,
    /// Entries that they all have, outside of shared subtrees.
    pub equal: Vec<(StateKeyNid, EventNid)>,
}

/// Compares the states at `roots`, which are distinct.
///
/// The error names nodes that are missing. A damaged trie, deeper than its keys allow, ends in an error with a node that is in memory.
pub fn compare(roots: &[NodeId], nodes: Nodes<'_>) -> Result<Compared, Vec<NodeId>> {
    let mut walk = Walk {
        everyone: StateSet::all(roots.len()),
        nodes,
        out: Compared::default(),
        missing: Vec::new(),
    };
    let mut groups = Groups::new();
    for (state, root) in roots.iter().enumerate() {
        let mut states = StateSet::none(roots.len());
        states.insert(state);
        let child = Child {
            slot: 0,
            node: *root,
            entries: 0,
        };
        join_group(&mut groups, child, &states);
    }
    walk.compare_at(&groups, Shape::DEEPEST);
    if !walk.missing.is_empty() {
        walk.missing.sort_unstable();
        walk.missing.dedup();
        return Err(walk.missing);
    }
    walk.out.conflicts.sort_by_key(|conflict| conflict.key);
    Ok(walk.out)
}

/// The different subtrees that states have at one place, and which of them have each.
type Groups = SmallVec<[(Child, StateSet); 4]>;

/// Entries by key and event, and which states have each.
type Entries = BTreeMap<StateKeyNid, Vec<(EventNid, StateSet)>>;

fn join_group(groups: &mut Groups, child: Child, states: &StateSet) {
    match groups.iter_mut().find(|(other, _)| other.node == child.node) {
        Some((_, group)) => group.extend(states),
        None => groups.push((child, states.clone())),
    }
}

struct Walk<'a> {
    everyone: StateSet,
    nodes: Nodes<'a>,
    out: Compared,
    missing: Vec<NodeId>,
}

impl Walk<'_> {
    fn compare_at(&mut self, groups: &Groups, levels: u32) {
        if let [(child, _)] = &groups[..] {
            if child.node != NodeId::EMPTY {
                self.out.shared.push(*child);
            }
            return;
        }
        let Some(levels) = levels.checked_sub(1) else {
            return self.missing.extend(groups.iter().map(|(child, _)| child.node));
        };
        let Some(loaded) = self.load(groups) else {
            return;
        };
        let is_inner = |(_, node, _): &(NodeId, Arc<Node>, &StateSet)| matches!(**node, Node::Inner(_));
        // Where a state has nothing at all, no other entry is equal; where one has a leaf, there are few.
        if loaded.len() < groups.len() || !loaded.iter().all(is_inner) {
            let mut entries = Entries::new();
            for (at, _, states) in &loaded {
                self.gather(*at, states, levels, &mut entries);
            }
            return self.sort_out(entries);
        }
        for slot in 0..SLOTS_MAX {
            let mut below = Groups::new();
            for (_, node, states) in &loaded {
                let empty = Child {
                    slot,
                    node: NodeId::EMPTY,
                    entries: 0,
                };
                join_group(&mut below, child_at(node.children(), slot).unwrap_or(empty), states);
            }
            self.compare_at(&below, levels);
        }
    }

    /// The nodes of all groups that are not empty; none if one is missing.
    fn load<'g>(&mut self, groups: &'g Groups) -> Option<Vec<(NodeId, Arc<Node>, &'g StateSet)>> {
        let missing = self.missing.len();
        let mut loaded = Vec::with_capacity(groups.len());
        for (child, states) in groups.iter().filter(|(child, _)| child.node != NodeId::EMPTY) {
            match (self.nodes)(child.node) {
                Some(node) => loaded.push((child.node, node, states)),
                None => self.missing.push(child.node),
            }
        }
        (self.missing.len() == missing).then_some(loaded)
    }

    /// Adds all entries below `at`, which `states` have.
    fn gather(&mut self, at: NodeId, states: &StateSet, levels: u32, out: &mut Entries) {
        let Some(node) = (self.nodes)(at) else {
            return self.missing.push(at);
        };
        match (&*node, levels.checked_sub(1)) {
            (Node::Leaf(entries), _) => {
                for (key, event) in entries {
                    let events = out.entry(*key).or_default();
                    match events.iter_mut().find(|(other, _)| other == event) {
                        Some((_, group)) => group.extend(states),
                        None => events.push((*event, states.clone())),
                    }
                }
            }
            (Node::Inner(_), None) => self.missing.push(at),
            (Node::Inner(children), Some(levels)) => {
                for child in children {
                    self.gather(child.node, states, levels, out);
                }
            }
        }
    }

    fn sort_out(&mut self, entries: Entries) {
        for (key, events) in entries {
            match &events[..] {
                [(event, states)] if *states == self.everyone => self.out.equal.push((key, *event)),
                _ => self.out.conflicts.push(Conflict { key, events }),
            }
        }
    }
}

#[cfg(test)]
mod tests;
