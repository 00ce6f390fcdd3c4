//! What points to what.

use plexus_core::{
    event::RelationKind,
    ids::{EventNid, UserNid},
    position::Sequence,
    room_version::RoomVersion,
};
use plexus_storage::{
    db::Value,
    events::{self, Direction, NewEventRow},
    relations::{self, Place, RelationsPage},
    rooms::RoomInfo,
};

use crate::support::{World, event_id, message, pointing, worlds};

const ALL: Sequence = Sequence::MAX;

/// Persists an event with its relation, as the master does, and lets this process hear of it.
async fn say(world: &World, event: &NewEventRow, sender: i64) {
    let place = Place {
        nid: event.nid,
        room: event.room,
        version: event.version,
        sender: UserNid(sender),
        room_order: event.room_order.expect("a live event"),
    };
    let position = || Value::Int(event.nid.0);
    let relation = relations::insert(place, &event.body, position());
    world
        .write([events::insert(event, position())].into_iter().chain(relation))
        .await;
    world.hear(event, event.nid.0);
}

fn page<'a>(room: &RoomInfo, parent: &'a ruma::EventId, direction: Direction) -> RelationsPage<'a> {
    RelationsPage {
        room: room.nid,
        version: room.version,
        parent,
        rel_type: None,
        kind: None,
        up_to: ALL,
        from: if direction == Direction::Backward {
            i64::MAX
        } else {
            i64::MIN
        },
        direction,
        limit: 10,
        recurse: false,
    }
}

fn nids(found: &[EventNid]) -> Vec<i64> {
    found.iter().map(|nid| nid.0).collect()
}

/// A root (1), a reply in its thread (2), two edits of the root by its sender (3, 4) and one by another (5), a reference (6), a reaction (7) and an edit
/// of the reply (8).
async fn scene(world: &World) -> RoomInfo {
    let room = world.room(1, RoomVersion::V11).await;
    say(world, &message(&room, 1), 1).await;
    for (nid, parent, rel_type, sender) in [
        (2, 1, "m.thread", 2),
        (3, 1, "m.replace", 1),
        (4, 1, "m.replace", 1),
        (5, 1, "m.replace", 2),
        (6, 1, "m.reference", 2),
        (7, 1, "m.annotation", 2),
        (8, 2, "m.replace", 1),
    ] {
        say(world, &pointing(&room, nid, parent, rel_type), sender).await;
    }
    room
}

#[tokio::test]
async fn what_points_to_an_event_is_found_in_both_directions() {
    for world in worlds().await {
        let room = scene(&world).await;
        let parent = event_id(room.version, 1);
        let backward = page(&room, &parent, Direction::Backward);
        let found = world.store.relations(&backward).await.unwrap();
        assert_eq!(nids(&found), [7, 6, 5, 4, 3, 2]);
        let first = RelationsPage {
            limit: 2,
            ..backward.clone()
        };
        assert_eq!(nids(&world.store.relations(&first).await.unwrap()), [7, 6]);
        let next = RelationsPage { from: 5, ..first };
        assert_eq!(nids(&world.store.relations(&next).await.unwrap()), [5, 4]);
        let forward = page(&room, &parent, Direction::Forward);
        let after = RelationsPage {
            from: 3,
            ..forward.clone()
        };
        assert_eq!(nids(&world.store.relations(&after).await.unwrap()), [4, 5, 6, 7]);
        let earlier = RelationsPage { up_to: 5, ..forward };
        assert_eq!(nids(&world.store.relations(&earlier).await.unwrap()), [2, 3, 4, 5]);
        let edits = RelationsPage {
            rel_type: Some("m.replace"),
            ..backward.clone()
        };
        assert_eq!(nids(&world.store.relations(&edits).await.unwrap()), [5, 4, 3]);
        let of_no_kind = RelationsPage {
            rel_type: Some("m.replace"),
            kind: Some("m.sticker"),
            ..backward
        };
        assert_eq!(world.store.relations(&of_no_kind).await.unwrap(), []);
    }
}

#[tokio::test]
async fn relations_of_relations_are_followed_three_steps() {
    for world in worlds().await {
        let room = world.room(1, RoomVersion::V4).await;
        say(&world, &message(&room, 1), 1).await;
        for nid in 2..=6 {
            say(&world, &pointing(&room, nid, nid - 1, "org.example"), 1).await;
        }
        let parent = event_id(room.version, 1);
        for (direction, expected) in [(Direction::Forward, [2, 3, 4]), (Direction::Backward, [4, 3, 2])] {
            let all = RelationsPage {
                recurse: true,
                ..page(&room, &parent, direction)
            };
            assert_eq!(nids(&world.store.relations(&all).await.unwrap()), expected);
            let none = RelationsPage {
                rel_type: Some("m.thread"),
                ..all
            };
            assert_eq!(world.store.relations(&none).await.unwrap(), []);
        }
    }
}

#[tokio::test]
async fn sums_have_the_newest_of_each_kind_and_how_many() {
    for world in worlds().await {
        scene(&world).await;
        let found = world
            .store
            .aggregated(&[EventNid(1), EventNid(2), EventNid(6)], UserNid(2), &[], ALL)
            .await
            .unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|sum| (sum.parent.0, sum.kind, sum.child.0, sum.count, sum.participated))
            .collect();
        // The edit of another sender does not count, and nor do reactions.
        assert_eq!(
            found,
            [
                (1, RelationKind::Replace, 4, 2, false),
                (1, RelationKind::Replace, 3, 2, false),
                (1, RelationKind::Reference, 6, 1, true),
                (1, RelationKind::Thread, 2, 1, true),
                (2, RelationKind::Replace, 8, 1, false),
            ]
        );
        let ignoring = world
            .store
            .aggregated(&[EventNid(1)], UserNid(1), &[UserNid(2)], ALL)
            .await
            .unwrap();
        assert_eq!(nids(&ignoring.iter().map(|sum| sum.child).collect::<Vec<_>>()), [4, 3]);
        let earlier = world
            .store
            .aggregated(&[EventNid(1)], UserNid(1), &[], 3)
            .await
            .unwrap();
        assert_eq!(nids(&earlier.iter().map(|sum| sum.child).collect::<Vec<_>>()), [3, 2]);
    }
}

#[tokio::test]
async fn what_is_redacted_points_nowhere() {
    for world in worlds().await {
        let room = scene(&world).await;
        world
            .write([relations::delete(EventNid(4)), relations::delete(EventNid(2))])
            .await;
        let found = world
            .store
            .aggregated(&[EventNid(1)], UserNid(1), &[], ALL)
            .await
            .unwrap();
        assert_eq!(nids(&found.iter().map(|sum| sum.child).collect::<Vec<_>>()), [3, 6]);
        assert_eq!(world.store.threads(room.nid, i64::MAX, ALL, 10).await.unwrap(), []);
    }
}

#[tokio::test]
async fn threads_come_by_their_last_reply() {
    for world in worlds().await {
        let room = world.room(1, RoomVersion::V11).await;
        let other = world.room(2, RoomVersion::V11).await;
        for nid in 1..=3 {
            say(&world, &message(&room, nid), 1).await;
        }
        for (nid, root) in [(4, 1), (5, 2), (6, 1)] {
            say(&world, &pointing(&room, nid, root, "m.thread"), 1).await;
        }
        // Another room's event points here: that is no relation.
        say(&world, &pointing(&other, 7, 3, "m.thread"), 1).await;
        let threads = async |before, up_to, limit| world.store.threads(room.nid, before, up_to, limit).await.unwrap();
        assert_eq!(threads(i64::MAX, ALL, 10).await, [(EventNid(1), 6), (EventNid(2), 5)]);
        assert_eq!(threads(i64::MAX, ALL, 1).await, [(EventNid(1), 6)]);
        assert_eq!(threads(6, ALL, 10).await, [(EventNid(2), 5)]);
        assert_eq!(threads(i64::MAX, 5, 10).await, [(EventNid(2), 5), (EventNid(1), 4)]);
        assert_eq!(
            world
                .store
                .aggregated(&[EventNid(3)], UserNid(1), &[], ALL)
                .await
                .unwrap(),
            []
        );
        assert_eq!(world.store.threads(other.nid, i64::MAX, ALL, 10).await.unwrap(), []);
    }
}

#[tokio::test]
async fn events_are_found_by_what_points_to_them() {
    for world in worlds().await {
        scene(&world).await;
        let all = [EventNid(1), EventNid(2), EventNid(6)];
        let related = async |rel_types: Option<&[String]>, senders: Option<&[UserNid]>, up_to| {
            let found = world.store.related_by(&all, rel_types, senders, up_to).await.unwrap();
            nids(&found)
        };
        assert_eq!(related(None, None, ALL).await, [1, 2]);
        assert_eq!(related(Some(&["m.replace".to_owned()]), None, ALL).await, [1, 2]);
        assert_eq!(related(Some(&["m.thread".to_owned()]), None, ALL).await, [1]);
        assert_eq!(
            related(Some(&["m.thread".to_owned()]), Some(&[UserNid(1)]), ALL).await,
            Vec::<i64>::new()
        );
        assert_eq!(related(None, Some(&[UserNid(1)]), 7).await, [1]);
    }
}

#[tokio::test]
async fn the_same_annotation_is_known() {
    for world in worlds().await {
        let room = scene(&world).await;
        let hash = |parent| {
            let event = pointing(&room, 20, parent, "m.annotation");
            let relation = event.body.relation().expect("a relation");
            relation
                .annotation_hash(event.body.kind(), event.body.sender())
                .expect("an annotation")
        };
        let db = world.store.db();
        assert!(relations::is_annotated(db, &hash(1)).await.unwrap());
        assert!(!relations::is_annotated(db, &hash(2)).await.unwrap());
        world.write([relations::delete(EventNid(7))]).await;
        assert!(!relations::is_annotated(db, &hash(1)).await.unwrap());
    }
}

#[tokio::test]
async fn a_process_knows_that_fresh_events_stand_alone() {
    for world in worlds().await {
        let room = world.room(1, RoomVersion::V11).await;
        world.persist(&message(&room, 1), 1).await;
        for nid in [2, 3] {
            say(&world, &message(&room, nid), 1).await;
        }
        say(&world, &pointing(&room, 4, 2, "m.thread"), 1).await;
        let events = world.store.events(&[1, 2, 3, 4].map(EventNid)).await.unwrap();
        let may: Vec<bool> = events
            .iter()
            .map(|event| world.store.may_have_relations(event))
            .collect();
        assert_eq!(
            may,
            [true, true, false, false],
            "the first is older than what was heard"
        );
        world.store.drop_mutable_caches();
        assert!(world.store.may_have_relations(&events[3]));
    }
}

#[tokio::test]
async fn an_event_is_found_without_its_room() {
    for world in worlds().await {
        for (version, nid) in [RoomVersion::V1, RoomVersion::V3, RoomVersion::V4, RoomVersion::V12]
            .into_iter()
            .zip(1..)
        {
            let room = world.room(nid, version).await;
            world.persist(&message(&room, nid), nid).await;
            let found = world
                .store
                .find_event(&event_id(version, nid))
                .await
                .unwrap()
                .expect("it is there");
            assert_eq!(found.nid, EventNid(nid), "{version}");
            assert!(world.store.find_event(&event_id(version, 99)).await.unwrap().is_none());
        }
    }
}
