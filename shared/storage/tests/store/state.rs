//! A room's state through its trie.

use std::collections::BTreeMap;

use plexus_core::{
    ids::{EventNid, NodeId, RoomNid, StateKeyNid},
    room_version::RoomVersion,
    state,
};
use plexus_storage::{
    StoreError,
    db::{Statement, Value},
    state_keys, state_nodes,
};

use crate::support::{World, begin, event_row, finish, state_event, worlds};

const ROOM: RoomNid = RoomNid(1);

/// Stores the state that follows from `root` by setting keys.
async fn insert(world: &World, root: NodeId, entries: &[(StateKeyNid, EventNid)], next: &mut NodeId) -> NodeId {
    let before = *next;
    let inserted = world
        .store
        .with_nodes(ROOM, |nodes| {
            *next = before;
            state::insert(root, entries, nodes, next)
        })
        .await
        .unwrap();
    world
        .write(
            inserted
                .new_nodes
                .iter()
                .map(|(id, node)| state_nodes::insert(ROOM, *id, node)),
        )
        .await;
    inserted.root
}

fn entries(keys: impl IntoIterator<Item = i64>, event: i64) -> Vec<(StateKeyNid, EventNid)> {
    keys.into_iter()
        .map(|key| (StateKeyNid(key), EventNid(event + key)))
        .collect()
}

#[tokio::test]
async fn a_large_state_is_read_back_whole_and_key_by_key() {
    for world in worlds().await {
        let mut next = NodeId(1);
        let wanted = entries(1..=3_000, 10_000);
        let root = insert(&world, NodeId(0), &wanted, &mut next).await;
        let store = world.other_process();
        for (key, event) in wanted.iter().step_by(500) {
            assert_eq!(store.state_get(ROOM, root, *key).await.unwrap(), Some(*event));
        }
        assert_eq!(store.state_get(ROOM, root, StateKeyNid(3_001)).await.unwrap(), None);
        for store in [store, world.other_process()] {
            let read: BTreeMap<_, _> = store.state(ROOM, root).await.unwrap().into_iter().collect();
            assert_eq!(read, wanted.iter().copied().collect());
        }
        assert_eq!(world.store.state(ROOM, NodeId(0)).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_difference_is_what_was_changed() {
    for world in worlds().await {
        let mut next = NodeId(1);
        let old = insert(&world, NodeId(0), &entries(1..=1_000, 10_000), &mut next).await;
        let new = insert(&world, old, &entries([5, 2_000], 50_000), &mut next).await;
        let mut difference = world.other_process().state_diff(ROOM, old, new).await.unwrap();
        difference.sort_by_key(|difference| difference.key);
        let difference: Vec<_> = difference
            .iter()
            .map(|found| (found.key.0, found.old, found.new))
            .collect();
        assert_eq!(
            difference,
            [
                (5, Some(EventNid(10_005)), Some(EventNid(50_005))),
                (2_000, None, Some(EventNid(52_000)))
            ]
        );
    }
}

#[tokio::test]
async fn nodes_that_were_remembered_are_not_read() {
    for world in worlds().await {
        let mut next = NodeId(1);
        let inserted = state::insert(NodeId(0), &entries(1..=100, 0), &|_| None, &mut next).unwrap();
        world.store.remember_nodes(ROOM, &inserted.new_nodes);
        assert_eq!(world.store.state(ROOM, inserted.root).await.unwrap().len(), 100);
    }
}

#[tokio::test]
async fn damaged_and_missing_nodes_are_errors() {
    for world in worlds().await {
        let mut next = NodeId(1);
        let root = insert(&world, NodeId(0), &entries(1..=10, 0), &mut next).await;
        let missing = world.other_process().state(ROOM, NodeId(99)).await;
        assert!(
            matches!(missing, Err(StoreError::Node { node: NodeId(99), .. })),
            "{missing:?}"
        );
        let damage = Statement::new(
            "-- test::damage\nUPDATE state_nodes SET checksum = checksum + $1",
            [Value::Int(1)],
        );
        world.write([damage]).await;
        let damaged = world.other_process().state_get(ROOM, root, StateKeyNid(1)).await;
        assert!(
            matches!(damaged, Err(StoreError::Node { node, .. }) if node == root),
            "{damaged:?}"
        );
    }
}

#[tokio::test]
async fn a_state_event_is_found_by_type_and_key() {
    for world in worlds().await {
        let room = world.room(ROOM.0, RoomVersion::V12).await;
        let key = StateKeyNid(1);
        let event = state_event(&room, 1, key, "m.room.name", "");
        world.write([state_keys::insert(key, "m.room.name", "")]).await;
        world.persist(&event, 1).await;
        let after = insert(&world, NodeId(0), &[(key, event.nid)], &mut NodeId(1)).await;
        let store = &world.store;
        let found = store
            .state_event(ROOM, after, "m.room.name", "")
            .await
            .unwrap()
            .unwrap();
        assert_eq!((found.nid, &found.body), (event.nid, &event.body));
        assert_eq!(store.state_event(ROOM, after, "m.room.topic", "").await.unwrap(), None);
        assert_eq!(
            store.state_event(ROOM, NodeId(0), "m.room.name", "").await.unwrap(),
            None
        );
        assert_eq!(store.state_events(ROOM, after).await.unwrap(), [found]);
    }
}

#[tokio::test]
async fn a_state_key_looked_up_in_vain_is_found_once_its_row_arrives() {
    for world in worlds().await {
        let room = world.room(ROOM.0, RoomVersion::V12).await;
        let nid = async |kind: &str| world.store.state_key_nid(kind, "").await.unwrap();
        for (with_body, numbers, kinds) in [
            (true, [1, 2], ["m.room.name", "m.room.topic"]),
            (false, [3, 4], ["m.room.avatar", "m.room.encryption"]),
        ] {
            let [known, loading] = numbers.map(StateKeyNid);
            assert_eq!(nid(kinds[0]).await, None);
            let load = begin(world.store.state_key_nid(kinds[1], "")).await;
            world
                .write([
                    state_keys::insert(known, kinds[0], ""),
                    state_keys::insert(loading, kinds[1], ""),
                ])
                .await;
            for (key, kind) in [(known, kinds[0]), (loading, kinds[1])] {
                let mut row = event_row(&state_event(&room, key.0, key, kind, ""));
                row.body = row.body.filter(|_| with_body);
                world.apply(key.0, &plexus_core::row::Row::Event(row));
            }
            finish(load).await.unwrap();
            assert_eq!(nid(kinds[0]).await, Some(known));
            assert_eq!(nid(kinds[1]).await, Some(loading));
        }
    }
}

#[tokio::test]
async fn a_state_without_members_follows_the_state() {
    for world in worlds().await {
        let mut next = NodeId(1);
        let name = |key: i64| match key % 100 {
            0 => ("m.room.name".to_owned(), key.to_string()),
            _ => ("m.room.member".to_owned(), format!("@user{key}:here")),
        };
        world
            .write((1..=600).map(|key| {
                let (kind, state_key) = name(key);
                state_keys::insert(StateKeyNid(key), &kind, &state_key)
            }))
            .await;
        let first = insert(&world, NodeId(0), &entries(1..=500, 1_000), &mut next).await;
        let second = insert(&world, first, &entries([7, 100, 600], 5_000), &mut next).await;
        let expected = |changed: &[(i64, i64)]| {
            let mut all: BTreeMap<_, _> = (1..=5).map(|n| (n * 100, 1_000 + n * 100)).collect();
            all.extend(changed.iter().copied());
            all
        };
        let (at_first, at_second) = (expected(&[]), expected(&[(100, 5_100), (600, 5_600)]));
        // In any order, from what is kept of another root and from the database.
        let store = world.other_process();
        for (root, expected) in [
            (first, &at_first),
            (second, &at_second),
            (first, &at_first),
            (first, &at_first),
        ] {
            let read = store.state_without_members(ROOM, root).await.unwrap();
            let read: BTreeMap<_, _> = read.iter().map(|(key, event)| (key.0, event.0)).collect();
            assert_eq!(read, *expected);
        }
    }
}
