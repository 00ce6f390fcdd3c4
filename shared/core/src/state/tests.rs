//! The trie against a `BTreeMap`, and its bytes against damage.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use proptest::{collection::vec, option, prelude::*};

use super::*;

/// Narrow and with tiny leaves, so that a few entries make a deep trie; and the one in use.
const SHAPES: [Shape; 3] = [
    Shape { bits: 1, leaf_max: 1 },
    Shape { bits: 2, leaf_max: 3 },
    Shape::ROOM,
];

#[derive(Default)]
struct Memory {
    nodes: BTreeMap<NodeId, Arc<Node>>,
    next: NodeId,
}

impl Memory {
    fn change(&mut self, shape: Shape, root: NodeId, changes: &[(StateKeyNid, Option<EventNid>)]) -> NodeId {
        let nodes = |id| self.nodes.get(&id).cloned();
        let made = change(shape, root, changes, &nodes, &mut self.next).expect("every node is in memory");
        let mut used = BTreeSet::from([made.root]);
        for (id, node) in &made.new_nodes {
            used.extend(node.children().iter().map(|child| child.node));
            assert!(!self.nodes.contains_key(id), "a node id is used twice");
        }
        assert!(
            made.new_nodes.iter().all(|(id, _)| used.contains(id)),
            "a node nobody refers to"
        );
        self.nodes.extend(made.new_nodes);
        made.root
    }

    fn map(&self, root: NodeId) -> BTreeMap<StateKeyNid, EventNid> {
        let mut out = Vec::new();
        entries(root, &|id| self.nodes.get(&id).cloned(), &mut out).expect("every node is in memory");
        let map: BTreeMap<_, _> = out.iter().copied().collect();
        assert_eq!(map.len(), out.len(), "a key is there twice");
        map
    }

    /// The shape and the entries of a trie, without the node ids.
    fn drawing(&self, root: NodeId) -> String {
        match self.nodes.get(&root).map(|node| &**node) {
            None => String::from("empty"),
            Some(Node::Leaf(entries)) => format!("{entries:?}"),
            Some(Node::Inner(children)) => {
                let children = children
                    .iter()
                    .map(|child| format!("{}/{}:{}", child.slot, child.entries, self.drawing(child.node)));
                format!("({})", children.collect::<Vec<_>>().join(" "))
            }
        }
    }
}

fn keys() -> impl Strategy<Value = StateKeyNid> {
    prop_oneof![20 => 1..60_i64, 1 => any::<i64>()].prop_map(StateKeyNid)
}

fn batches() -> impl Strategy<Value = Vec<Vec<(StateKeyNid, Option<EventNid>)>>> {
    vec(
        vec((keys(), option::weighted(0.7, (1..6_i64).prop_map(EventNid))), 0..40),
        1..8,
    )
}

fn apply(map: &mut BTreeMap<StateKeyNid, EventNid>, batch: &[(StateKeyNid, Option<EventNid>)]) {
    for (key, event) in batch {
        match event {
            Some(event) => drop(map.insert(*key, *event)),
            None => drop(map.remove(key)),
        }
    }
}

proptest! {
    #[test]
    fn a_trie_is_a_map(shape in prop::sample::select(&SHAPES), batches in batches()) {
        let mut memory = Memory::default();
        let mut history = vec![(NodeId::EMPTY, BTreeMap::new())];
        for batch in &batches {
            let (root, mut map) = history.last().cloned().expect("it starts with one");
            apply(&mut map, batch);
            let root = memory.change(shape, root, batch);
            prop_assert_eq!(memory.change(shape, root, batch), root, "the same again changes nothing");
            history.push((root, map));
        }
        for (root, map) in &history {
            let nodes = |id| memory.nodes.get(&id).cloned();
            prop_assert_eq!(&memory.map(*root), map, "an old root still names the old map");
            prop_assert_eq!(len(*root, &nodes), Ok(map.len() as u64));
            for key in batches.iter().flatten().map(|(key, _)| *key) {
                prop_assert_eq!(get_shaped(shape, *root, key, &nodes), Ok(map.get(&key).copied()));
            }
        }
    }

    #[test]
    fn the_shape_follows_from_the_entries(shape in prop::sample::select(&SHAPES), batches in batches()) {
        let mut memory = Memory::default();
        let (mut root, mut map) = (NodeId::EMPTY, BTreeMap::new());
        for batch in &batches {
            root = memory.change(shape, root, batch);
            apply(&mut map, batch);
        }
        let at_once: Vec<_> = map.into_iter().map(|(key, event)| (key, Some(event))).collect();
        let fresh = memory.change(shape, NodeId::EMPTY, &at_once);
        prop_assert_eq!(memory.drawing(root), memory.drawing(fresh));
    }

    #[test]
    fn a_difference_is_what_differs(shape in prop::sample::select(&SHAPES), batches in batches()) {
        let mut memory = Memory::default();
        let mut roots = vec![NodeId::EMPTY];
        for batch in &batches {
            roots.push(memory.change(shape, *roots.last().expect("it starts with one"), batch));
        }
        for (old, new) in roots.iter().zip(roots.iter().rev()) {
            let differences = diff(*old, *new, &|id| memory.nodes.get(&id).cloned()).expect("every node is in memory");
            let (old_map, new_map) = (memory.map(*old), memory.map(*new));
            let keys: BTreeSet<_> = old_map.keys().chain(new_map.keys()).collect();
            let wanted: BTreeMap<_, _> = keys.into_iter()
                .map(|key| (*key, (old_map.get(key).copied(), new_map.get(key).copied())))
                .filter(|(_, (old, new))| old != new)
                .collect();
            let found: BTreeMap<_, _> = differences.iter().map(|found| (found.key, (found.old, found.new))).collect();
            prop_assert_eq!(found.len(), differences.len(), "a key is named twice");
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn nodes_are_loaded_when_they_are_missing(shape in prop::sample::select(&SHAPES), batch in vec((keys(), (1..9_i64).prop_map(|e| Some(EventNid(e)))), 1..80)) {
        let mut memory = Memory::default();
        let root = memory.change(shape, NodeId::EMPTY, &batch);
        let loaded = RefCell::new(BTreeMap::new());
        let mut rounds = 0;
        loop {
            let mut missing = Vec::new();
            frontier(root, &|id| loaded.borrow().get(&id).cloned(), &mut missing);
            if missing.is_empty() {
                break;
            }
            let mut out = Vec::new();
            let nodes = |id| loaded.borrow().get(&id).cloned();
            let first = entries(root, &nodes, &mut out).expect_err("something is missing").0;
            prop_assert!(missing.contains(&first));
            let mut next = NodeId(1000);
            prop_assert!(change(shape, root, &[(batch[0].0, None)], &nodes, &mut next).is_ok() || next == NodeId(1000));
            for id in missing {
                prop_assert!(loaded.borrow_mut().insert(id, memory.nodes[&id].clone()).is_none(), "asked for twice");
            }
            rounds += 1;
            prop_assert!(rounds <= shape.levels() + 1);
        }
        prop_assert_eq!(loaded.into_inner().len(), memory.nodes.len());
    }

    #[test]
    fn bytes_round_trip(shape in prop::sample::select(&SHAPES), batches in batches(), flip in any::<prop::sample::Index>()) {
        let mut memory = Memory::default();
        let mut root = NodeId::EMPTY;
        for batch in &batches {
            root = memory.change(shape, root, batch);
        }
        for node in memory.nodes.values() {
            let encoded = node.encode();
            prop_assert_eq!(&Node::decode(&encoded).expect("just encoded"), &**node);
            let mut damaged = encoded.clone();
            let at = flip.index(damaged.len());
            damaged[at] ^= 1 << (at % 8);
            prop_assert_ne!(Node::checksum(&encoded), Node::checksum(&damaged));
            prop_assert!(Node::decode(&encoded[..encoded.len() - 1]).is_err());
        }
    }

    #[test]
    fn damaged_bytes_never_panic(tag in 0..3_u8, bytes in vec(any::<u8>(), 0..200), keys in vec(keys(), 1..9)) {
        let bytes: Vec<u8> = std::iter::once(tag).chain(bytes).collect();
        let Ok(node) = Node::decode(&bytes) else { return Ok(()) };
        prop_assert_eq!(node.encode(), bytes, "of a node there is one encoding");
        // Every id is this node: a circle, unless it is a leaf. All operations end.
        let nodes = |_| Some(Arc::new(node.clone()));
        let mut next = NodeId(1);
        for key in keys {
            assert!(get(NodeId(1), key, &nodes).is_ok() || matches!(node, Node::Inner(_)));
            drop(change(Shape::ROOM, NodeId(1), &[(key, Some(EventNid(1)))], &nodes, &mut next));
        }
    }
}

#[test]
fn a_checksum_is_the_start_of_the_hash() {
    // printf '' | sha256sum begins e3b0c44298fc1c14.
    assert_eq!(Node::checksum(b""), 0xe3b0_c442_98fc_1c14_u64.cast_signed());
}

#[test]
fn a_chain_in_a_circle_ends() {
    let circle = Node::Inner(Box::new([Child {
        slot: 0,
        node: NodeId(1),
        entries: 20,
    }]));
    let other = Node::Inner(Box::new([Child {
        slot: 0,
        node: NodeId(2),
        entries: 20,
    }]));
    let (circle, other) = (Arc::new(circle), Arc::new(other));
    let nodes = |id| Some(if id == NodeId(1) { circle.clone() } else { other.clone() });
    assert_eq!(entries(NodeId(1), &nodes, &mut Vec::new()), Err(MissingNode(NodeId(1))));
    assert!(diff(NodeId(1), NodeId(2), &nodes).is_err());
    let mut missing = Vec::new();
    frontier(NodeId(1), &nodes, &mut missing);
    assert_eq!(missing, []);
}

#[test]
fn a_batch_keeps_the_last_value_of_a_key() {
    let mut memory = Memory::default();
    let key = StateKeyNid(7);
    let root = memory.change(
        Shape::ROOM,
        NodeId::EMPTY,
        &[(key, Some(EventNid(1))), (key, None), (key, Some(EventNid(2)))],
    );
    assert_eq!(memory.map(root), BTreeMap::from([(key, EventNid(2))]));
    assert_eq!(
        memory.change(Shape::ROOM, root, &[(key, Some(EventNid(9))), (key, None)]),
        NodeId::EMPTY
    );
}
