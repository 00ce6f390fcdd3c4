//! Auth differences by walks and by bitmaps, against sets.

use std::cell::RefCell;

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;
use crate::{
    ids::{RoomNid, StateKeyNid},
    state::{Node, Shape, change, compare},
};

/// A room of numbers: who refers to whom, and some states.
#[derive(Debug)]
struct Room {
    /// By number, from 1 on.
    edges: Vec<Arc<[EventNid]>>,
    nodes: BTreeMap<NodeId, Arc<Node>>,
    states: BTreeMap<NodeId, BTreeSet<EventNid>>,
}

impl Room {
    fn parents(&self, event: EventNid) -> Option<Arc<[EventNid]>> {
        self.edges.get(usize::try_from(event.0).unwrap() - 1).cloned()
    }

    fn chain(&self, events: impl IntoIterator<Item = EventNid>) -> BTreeSet<EventNid> {
        let mut chain = BTreeSet::new();
        let mut open: Vec<_> = events.into_iter().collect();
        while let Some(event) = open.pop() {
            for parent in &*self.parents(event).unwrap() {
                if chain.insert(*parent) {
                    open.push(*parent);
                }
            }
        }
        chain
    }

    /// The difference by its definition, without the conflicting events.
    fn difference(&self, compared: &Compared) -> BTreeSet<EventNid> {
        let chains: Vec<_> = self
            .states
            .values()
            .map(|state| self.chain(state.iter().copied()))
            .collect();
        let is_in_all = |event: &EventNid| chains.iter().all(|chain| chain.contains(event));
        let conflicting = conflicting(compared);
        let all = chains.iter().flatten().copied();
        all.filter(|event| !is_in_all(event) && !conflicting.contains(event))
            .collect()
    }
}

fn conflicting(compared: &Compared) -> BTreeSet<EventNid> {
    let conflicts = compared.conflicts.iter().flat_map(|conflict| &conflict.events);
    conflicts.map(|(event, _)| *event).collect()
}

/// Each event refers to up to three before it; a state has an event for a key, and branches change some.
fn rooms() -> impl Strategy<Value = Room> {
    let refers = vec(any::<Index>(), 0..4);
    let entry = || (1..60_i64, prop::option::weighted(0.9, any::<Index>()));
    (vec(refers, 1..80), vec(entry(), 0..90), vec(vec(entry(), 0..6), 2..5)).prop_map(|(refers, start, branches)| {
        let mut edges: Vec<Arc<[EventNid]>> = vec![Arc::default()];
        for refers in refers {
            let parents: BTreeSet<_> = refers.iter().map(|index| nid(*index, edges.len())).collect();
            edges.push(parents.into_iter().collect());
        }
        let mut nodes = BTreeMap::new();
        let mut next = NodeId(1);
        let mut apply = |root: NodeId, changes: &[(i64, Option<Index>)]| {
            let changes: Vec<_> = changes
                .iter()
                .map(|(key, event)| (StateKeyNid(*key), event.map(|event| nid(event, edges.len()))))
                .collect();
            let after = change(Shape::ROOM, root, &changes, &|id| nodes.get(&id).cloned(), &mut next).unwrap();
            nodes.extend(after.new_nodes);
            after.root
        };
        let root = apply(NodeId::EMPTY, &start);
        let roots: BTreeSet<_> = branches.iter().map(|changes| apply(root, changes)).collect();
        let state = |root: NodeId| {
            let mut out = Vec::new();
            crate::state::entries(root, &|id| nodes.get(&id).cloned(), &mut out).unwrap();
            (root, out.into_iter().map(|(_, event)| event).collect())
        };
        let states = roots.into_iter().map(state).collect();
        Room { edges, nodes, states }
    })
}

fn nid(index: Index, events: usize) -> EventNid {
    EventNid(i64::try_from(index.index(events)).unwrap() + 1)
}

proptest! {
    #[test]
    fn the_auth_difference_is_what_sets_say(room in rooms(), cache_bytes in prop::sample::select(vec![0_u64, 2_000, 1 << 20]), picked in any::<Index>()) {
        let nodes = |id| room.nodes.get(&id).cloned();
        let edges = |event| room.parents(event);
        let roots: Vec<_> = room.states.keys().copied().collect();
        let compared = compare(&roots, &nodes).unwrap();
        let expected = room.difference(&compared);
        let cache = ChainCache::new(cache_bytes);
        let common: Vec<_> = room.states.values().next().unwrap().iter().copied()
            .filter(|event| room.states.values().all(|state| state.contains(event))).collect();
        let pillar = common.get(picked.index(common.len() + 1)).copied();
        for chains in [None, Some(cache.of(RoomNid(1))), Some(cache.of(RoomNid(1)))] {
            for pillars in [None, pillar] {
                let graph = AuthGraph { nodes: &nodes, edges: &edges, chains };
                let found = difference(&graph, roots.len(), &compared, pillars.as_slice());
                prop_assert_eq!(found.as_ref(), Ok(&expected));
            }
        }
    }

    #[test]
    fn the_subgraph_is_all_ways_from_one_conflict_to_another(room in rooms(), picked in vec(any::<Index>(), 0..6)) {
        let conflicting: BTreeSet<_> = picked.iter().map(|index| nid(*index, room.edges.len())).collect();
        let found = subgraph(&|event| room.parents(event), &conflicting).unwrap();
        let from_one: BTreeSet<_> = room.chain(conflicting.iter().copied()).union(&conflicting).copied().collect();
        let leads_to_one = |event: &EventNid| {
            conflicting.contains(event) || room.chain([*event]).iter().any(|event| conflicting.contains(event))
        };
        prop_assert_eq!(found, from_one.into_iter().filter(leads_to_one).collect::<BTreeSet<_>>());
    }

    #[test]
    fn what_is_missing_is_new_each_time(room in rooms(), remembers in any::<bool>()) {
        let loaded_nodes = RefCell::new(BTreeSet::new());
        let loaded_edges = RefCell::new(BTreeSet::new());
        let all = |id| room.nodes.get(&id).cloned();
        let roots: Vec<_> = room.states.keys().copied().collect();
        let compared = compare(&roots, &all).unwrap();
        let nodes = |id| loaded_nodes.borrow().contains(&id).then(|| all(id)).flatten();
        let edges = |event| loaded_edges.borrow().contains(&event).then(|| room.parents(event)).flatten();
        let cache = ChainCache::new(1 << 20);
        let chains = remembers.then(|| cache.of(RoomNid(1)));
        let graph = AuthGraph { nodes: &nodes, edges: &edges, chains };
        let found = loop {
            match difference(&graph, roots.len(), &compared, &[]) {
                Ok(found) => break found,
                Err(missing) => {
                    prop_assert!(!missing.nodes.is_empty() || !missing.auth_parents.is_empty());
                    let nodes: BTreeSet<_> = missing.nodes.into_iter().collect();
                    let edges: BTreeSet<_> = missing.auth_parents.into_iter().collect();
                    prop_assert!(loaded_nodes.borrow().is_disjoint(&nodes) && loaded_edges.borrow().is_disjoint(&edges));
                    loaded_nodes.borrow_mut().extend(nodes);
                    loaded_edges.borrow_mut().extend(edges);
                }
            }
        };
        prop_assert_eq!(found, room.difference(&compared));
    }
}

#[test]
fn events_that_refer_to_each_other_are_damage_and_end() {
    let edges = |event: EventNid| Some(Arc::from([EventNid(3 - event.0), event]));
    let found = subgraph(&edges, &BTreeSet::from([EventNid(1), EventNid(2)]));
    assert_eq!(found, Ok(BTreeSet::from([EventNid(1), EventNid(2)])));
}
