//! Comparing tries against comparing maps.

use std::{cell::RefCell, collections::BTreeSet};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::state::{change, entries};

type Map = BTreeMap<StateKeyNid, EventNid>;

/// Maps that have much in common, and their tries.
fn states() -> impl Strategy<Value = (Vec<Map>, BTreeMap<NodeId, Arc<Node>>, Vec<NodeId>)> {
    let entry = || (1..120_i64, prop::option::weighted(0.8, 1..4_i64));
    let changes = vec(vec(entry(), 0..12), 1..80).prop_map(|mut all| {
        all.truncate(80);
        all
    });
    (vec(entry(), 0..200), changes).prop_map(|(start, changes)| {
        let mut tries = BTreeMap::new();
        let mut next = NodeId(1);
        let mut apply = |map: &Map, root: NodeId, changes: &[(i64, Option<i64>)]| {
            let changes: Vec<_> = changes
                .iter()
                .map(|(key, event)| (StateKeyNid(*key), event.map(EventNid)))
                .collect();
            let mut map = map.clone();
            for (key, event) in &changes {
                match event {
                    Some(event) => map.insert(*key, *event),
                    None => map.remove(key),
                };
            }
            let nodes = |id| tries.get(&id).cloned();
            let after = change(Shape::ROOM, root, &changes, &nodes, &mut next).unwrap();
            tries.extend(after.new_nodes);
            (map, after.root)
        };
        let (map, root) = apply(&Map::new(), NodeId::EMPTY, &start);
        let mut branches = BTreeMap::from([(root, map.clone())]);
        for changes in changes {
            let (map, root) = apply(&map, root, &changes);
            branches.insert(root, map);
        }
        let (roots, maps) = branches.into_iter().unzip();
        (maps, tries, roots)
    })
}

/// The entries of a comparison's common part.
fn common(compared: &Compared, nodes: Nodes<'_>) -> BTreeSet<(StateKeyNid, EventNid)> {
    let mut common = compared.equal.clone();
    for child in &compared.shared {
        entries(child.node, nodes, &mut common).unwrap();
    }
    let count = common.len();
    let common: BTreeSet<_> = common.into_iter().collect();
    assert_eq!(common.len(), count, "an entry is there twice");
    common
}

proptest! {
    #[test]
    fn conflicts_are_what_maps_do_not_agree_on((maps, tries, roots) in states()) {
        let nodes = |id| tries.get(&id).cloned();
        let compared = compare(&roots, &nodes).unwrap();
        let keys: BTreeSet<_> = maps.iter().flat_map(Map::keys).copied().collect();
        let is_agreed = |key: &&StateKeyNid| maps.iter().all(|map| map.get(*key) == maps[0].get(*key));
        let agreed: BTreeSet<_> = keys.iter().filter(is_agreed).map(|key| (*key, maps[0][key])).collect();
        prop_assert_eq!(common(&compared, &nodes), agreed);
        let conflicting: Vec<_> = keys.iter().filter(|key| !is_agreed(key)).copied().collect();
        let found: Vec<_> = compared.conflicts.iter().map(|conflict| conflict.key).collect();
        prop_assert_eq!(found, conflicting);
        for conflict in &compared.conflicts {
            for (state, map) in maps.iter().enumerate() {
                prop_assert_eq!(conflict.in_state(state), map.get(&conflict.key).copied());
            }
        }
    }

    #[test]
    fn what_is_missing_is_named_once_and_by_levels((_, tries, roots) in states()) {
        let loaded = RefCell::new(BTreeSet::new());
        let nodes = |id: NodeId| loaded.borrow().contains(&id).then(|| tries[&id].clone());
        let mut rounds = 0;
        while let Err(missing) = compare(&roots, &nodes) {
            rounds += 1;
            for id in missing {
                prop_assert!(loaded.borrow_mut().insert(id), "asked for twice");
            }
            prop_assert!(rounds <= 5, "a level at a time");
        }
    }
}

#[test]
fn a_trie_in_a_circle_is_damaged_and_ends() {
    let circle = |node: i64| {
        Arc::new(Node::Inner(Box::new([Child {
            slot: 0,
            node: NodeId(node),
            entries: 20,
        }])))
    };
    let nodes = |id: NodeId| Some(circle(id.0));
    assert!(compare(&[NodeId(1), NodeId(2)], &nodes).is_err());
}
