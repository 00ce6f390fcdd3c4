//! Events: from the database, from rows, and from both at once.

use std::sync::Arc;

use plexus_core::{
    ids::{EventNid, NodeId, StateKeyNid},
    position::Sequence,
    room_version::RoomVersion,
    row::{EventRow, EventStatus, Row, Transaction},
};
use plexus_storage::{
    StoreError,
    db::Value,
    events::{self, Direction, NewEventRow},
    state_keys,
    timeline::TIMELINE_MAX,
};

use crate::support::{begin, event_id, event_row, finish, message, positions, state_event, worlds};

#[tokio::test]
async fn events_of_every_version_come_back_as_they_were() {
    for world in worlds().await {
        for (version, nid) in RoomVersion::ALL.into_iter().zip(1..) {
            let room = world.room(nid, version).await;
            let transaction = Transaction {
                device: "D".into(),
                id: "t1".to_owned(),
            };
            let mut event = state_event(&room, nid, StateKeyNid(nid), "m.room.name", "");
            event.transaction = (nid % 2 == 0).then(|| Arc::new(transaction));
            world.persist(&event, 100 + nid).await;

            let read = world.store.event(EventNid(nid)).await.unwrap().unwrap();
            assert_eq!(
                (read.nid, read.room, read.sender, read.position),
                (event.nid, room.nid, event.sender, 100 + nid)
            );
            assert_eq!((read.room_order, read.state_key), (Some(nid), Some(StateKeyNid(nid))));
            assert_eq!(
                (read.state_before, read.room_root, read.redacted_by),
                (NodeId(nid - 1), NodeId(nid), None)
            );
            assert_eq!(
                (&read.transaction, &read.body),
                (&event.transaction, &event.body),
                "{version}"
            );
            let id = event_id(version, nid);
            assert_eq!(world.store.event_nid(room.nid, &id).await.unwrap(), Some(EventNid(nid)));
        }
    }
}

#[tokio::test]
async fn an_id_finds_an_event_only_in_its_own_room() {
    for world in worlds().await {
        let (room, other) = (
            world.room(1, RoomVersion::V12).await,
            world.room(2, RoomVersion::V1).await,
        );
        world.persist(&message(&room, 1), 1).await;
        let id = event_id(RoomVersion::V12, 1);
        assert_eq!(world.store.event_nid(room.nid, &id).await.unwrap(), Some(EventNid(1)));
        assert_eq!(world.store.event_nid(other.nid, &id).await.unwrap(), None);
        assert_eq!(
            world
                .store
                .event_nid(room.nid, &event_id(RoomVersion::V12, 2))
                .await
                .unwrap(),
            None
        );
        assert_eq!(
            world
                .store
                .event_nid(room.nid, &event_id(RoomVersion::V1, 1))
                .await
                .unwrap(),
            None
        );
        assert!(world.refuses([events::insert(&message(&room, 1), Value::Int(2))]).await);
    }
}

#[tokio::test]
async fn events_come_in_the_order_asked_for_and_none_may_be_missing() {
    for world in worlds().await {
        let room = world.room(1, RoomVersion::V12).await;
        for nid in 1..=3 {
            world.persist(&message(&room, nid), nid).await;
        }
        let asked = [3, 1, 3, 2].map(EventNid);
        for _ in 0..2 {
            let found = world.store.events(&asked).await.unwrap();
            assert_eq!(positions(&found), [3, 1, 3, 2]);
        }
        let missing = world.store.events(&[EventNid(1), EventNid(4)]).await;
        assert!(
            matches!(missing, Err(StoreError::MissingEvent(EventNid(4)))),
            "{missing:?}"
        );
        assert_eq!(world.store.event(EventNid(4)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_timeline_is_paged_both_ways() {
    for world in worlds().await {
        let (room, other) = (
            world.room(1, RoomVersion::V12).await,
            world.room(2, RoomVersion::V12).await,
        );
        for nid in 1..=5 {
            world.persist(&message(&room, nid), nid).await;
        }
        world.persist(&message(&other, 6), 6).await;
        let outlier = NewEventRow {
            room_order: None,
            ..message(&room, 7)
        };
        world.persist(&outlier, 7).await;
        let page = async |from, direction, limit| {
            positions(&world.store.page(room.nid, from, direction, limit).await.unwrap())
        };
        assert_eq!(page(Sequence::MAX, Direction::Backward, 2).await, [5, 4]);
        assert_eq!(page(3, Direction::Backward, 9).await, [3, 2, 1]);
        assert_eq!(page(0, Direction::Backward, 9).await, Vec::<Sequence>::new());
        assert_eq!(page(3, Direction::Forward, 9).await, [4, 5]);
        assert_eq!(page(Sequence::MIN, Direction::Forward, 2).await, [1, 2]);
        assert_eq!(page(0, Direction::Forward, 0).await, Vec::<Sequence>::new());
    }
}

#[tokio::test]
async fn an_event_is_in_memory_once() {
    for world in worlds().await {
        let room = world.room(1, RoomVersion::V12).await;
        for nid in 1..=2 {
            world.persist(&message(&room, nid), nid).await;
        }
        world.hear(&message(&room, 2), 2);
        let page = world.store.page(room.nid, 2, Direction::Backward, 2).await.unwrap();
        let timeline = world.store.room_timeline(room.nid).await.unwrap();
        for (nid, (paged, live)) in [2, 1].into_iter().zip(page.iter().zip(timeline.newest_first())) {
            let event = world.store.event(EventNid(nid)).await.unwrap().unwrap();
            assert!(Arc::ptr_eq(&event, paged) && Arc::ptr_eq(&event, live), "event {nid}");
        }
    }
}

#[tokio::test]
async fn a_published_event_is_read_without_the_database() {
    for world in worlds().await {
        // The room is in the database, so that its version can be known; the events are not, so that nothing can be read of them.
        let room = world.room(1, RoomVersion::V12).await;
        for nid in 11..=13 {
            world.hear(&message(&room, nid), nid);
        }
        let store = &world.store;
        assert_eq!(
            store.event(EventNid(12)).await.unwrap().unwrap().body,
            message(&room, 12).body
        );
        let between = async |after, up_to| positions(&store.events_between(room.nid, after, up_to, 10).await.unwrap());
        assert_eq!(between(10, 13).await, [13, 12, 11]);
        assert_eq!(between(11, 12).await, [12]);
        assert_eq!(store.room_root_at(room.nid, 12).await.unwrap(), Some(NodeId(12)));
        assert_eq!(store.last_change(room.nid), 13);
    }
}

#[tokio::test]
async fn a_range_is_complete_however_much_of_it_is_in_memory() {
    for world in worlds().await {
        let room = world.room(1, RoomVersion::V12).await;
        let ring = i64::try_from(TIMELINE_MAX).unwrap();
        let last = ring + 30;
        for nid in 1..=last {
            world.persist(&message(&room, nid), nid).await;
        }
        // The rows of the last few arrive: the timeline in memory begins with them.
        for nid in last - 4..=last {
            world.hear(&message(&room, nid), nid);
        }
        let between = async |after, up_to, limit| {
            positions(&world.store.events_between(room.nid, after, up_to, limit).await.unwrap())
        };
        let all: Vec<Sequence> = (1..=last).rev().collect();
        assert_eq!(between(last - 3, last, 100).await, all[..3]);
        assert_eq!(between(last - 20, last, 100).await, all[..20]);
        assert_eq!(between(0, last, 1_000).await, all);
        assert_eq!(between(0, 10, 4).await, [10, 9, 8, 7]);
        let after = async |after, up_to, limit| {
            positions(&world.store.events_after(room.nid, after, up_to, limit).await.unwrap())
        };
        assert_eq!(after(0, last, 4).await, [1, 2, 3, 4]);
        assert_eq!(after(last - 20, last - 10, 3).await, [last - 19, last - 18, last - 17]);
        assert_eq!(after(last - 2, last - 1, 9).await, [last - 1]);
        assert_eq!(after(last, last + 9, 9).await, Vec::<Sequence>::new());
        assert_eq!(between(last, last + 9, 10).await, Vec::<Sequence>::new());
        for at in [1, 20, last - 10, last] {
            assert_eq!(world.store.room_root_at(room.nid, at).await.unwrap(), Some(NodeId(at)));
        }
        assert_eq!(world.store.room_root_at(room.nid, 0).await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_the_database_has_before_its_row_is_beyond_the_readers_position() {
    for world in worlds().await {
        let room = world.room(1, RoomVersion::V12).await;
        for nid in 1..=2 {
            world.persist(&message(&room, nid), nid).await;
        }
        world.hear(&message(&room, 1), 1);
        // Loaded with event 2 in it, whose row has not arrived.
        world.store.room_timeline(room.nid).await.unwrap();
        let between = async |up_to| positions(&world.store.events_between(room.nid, 0, up_to, 10).await.unwrap());
        assert_eq!(between(1).await, [1]);
        world.hear(&message(&room, 2), 2);
        assert_eq!((between(1).await, between(2).await), (vec![1], vec![2, 1]));
    }
}

#[tokio::test]
async fn a_row_without_a_body_sends_readers_to_the_database() {
    for world in worlds().await {
        let room = world.room(1, RoomVersion::V12).await;
        world
            .write([state_keys::insert(StateKeyNid(1), "m.room.name", "")])
            .await;
        for nid in 1..=2 {
            world.persist(&message(&room, nid), nid).await;
            world.hear(&message(&room, nid), nid);
        }
        let large = state_event(&room, 3, StateKeyNid(1), "m.room.name", "");
        world.persist(&large, 3).await;
        world.apply(
            3,
            &Row::Event(EventRow {
                body: None,
                ..event_row(&large)
            }),
        );
        let events = world.store.events_between(room.nid, 0, 3, 10).await.unwrap();
        assert_eq!(positions(&events), [3, 2, 1]);
        assert_eq!(events[0].body, large.body);
    }
}

#[tokio::test]
async fn an_outlier_that_gets_a_place_is_read_anew() {
    for world in worlds().await {
        let room = world.room(1, RoomVersion::V12).await;
        let placed = message(&room, 1);
        let outlier = NewEventRow {
            room_order: None,
            status: EventStatus::Outlier,
            ..placed.clone()
        };
        world.persist(&outlier, 1).await;
        let read = async || world.store.event(outlier.nid).await.unwrap().unwrap();
        assert_eq!(read().await.status, EventStatus::Outlier);
        world.write([events::give_place(&placed, Value::Int(2))]).await;
        let row = EventRow {
            body: None,
            was_outlier: true,
            outgoing: false,
            ..event_row(&placed)
        };
        world.apply(2, &Row::Event(row));
        let event = read().await;
        assert_eq!((event.status, event.room_order), (EventStatus::Accepted, Some(1)));
    }
}

#[tokio::test]
async fn a_timeline_that_a_row_overtook_is_not_kept() {
    for world in worlds().await {
        let room = world.room(1, RoomVersion::V12).await;
        world.persist(&message(&room, 1), 1).await;
        let store = &world.store;
        let load = begin(store.room_timeline(room.nid)).await;
        let large = message(&room, 2);
        world.persist(&large, 2).await;
        world.apply(
            2,
            &Row::Event(EventRow {
                body: None,
                ..event_row(&large)
            }),
        );
        finish(load).await.unwrap();
        assert_eq!(
            positions(&store.events_between(room.nid, 0, 2, 10).await.unwrap()),
            [2, 1]
        );
    }
}

#[tokio::test]
async fn a_redaction_takes_the_content_everywhere() {
    for world in worlds().await {
        let room = world.room(1, RoomVersion::V12).await;
        let (event, redaction) = (message(&room, 1), message(&room, 2));
        world.persist(&event, 1).await;
        world.hear(&event, 1);
        // Known to this process, as a room it serves is.
        world.store.room_by_nid(room.nid).await.unwrap();
        let redacted = event.body.redacted(room.version.rules());
        world.write([events::redact(event.nid, redaction.nid, &redacted)]).await;
        let content = async || {
            world
                .store
                .event(event.nid)
                .await
                .unwrap()
                .unwrap()
                .body
                .content()
                .to_owned()
        };
        assert_eq!(content().await, r#"{"body":"1"}"#);
        let row = Row::Redaction {
            room: room.nid,
            event: event.nid,
            redacted_by: redaction.nid,
        };
        world.apply(2, &row);
        for store in [&world.store, &world.other_process()] {
            let read = store.event(event.nid).await.unwrap().unwrap();
            assert_eq!((&*read.body, read.redacted_by), (&redacted, Some(redaction.nid)));
            let timeline = store.events_between(room.nid, 0, 2, 10).await.unwrap();
            assert_eq!(&*timeline[0].body, &redacted);
        }
        assert!(
            world
                .refuses([events::redact(EventNid(77), redaction.nid, &redacted)])
                .await
        );
    }
}

#[tokio::test]
async fn a_redaction_in_a_room_whose_version_is_not_at_hand_is_read_again() {
    for world in worlds().await {
        let room = world.room(1, RoomVersion::V12).await;
        let event = message(&room, 1);
        world.persist(&event, 1).await;
        world.hear(&event, 1);
        let redacted = event.body.redacted(room.version.rules());
        world.write([events::redact(event.nid, EventNid(2), &redacted)]).await;
        world.apply(
            2,
            &Row::Redaction {
                room: room.nid,
                event: event.nid,
                redacted_by: EventNid(2),
            },
        );
        assert_eq!(*world.store.event(event.nid).await.unwrap().unwrap().body, redacted);
        let timeline = world.store.events_between(room.nid, 0, 2, 10).await.unwrap();
        assert_eq!(*timeline[0].body, redacted);
    }
}

#[tokio::test]
async fn dropping_the_mutable_caches_forgets_what_rows_could_have_changed() {
    for world in worlds().await {
        let room = world.room(1, RoomVersion::V12).await;
        let (event, missed) = (message(&room, 1), message(&room, 2));
        world.persist(&event, 1).await;
        world.hear(&event, 1);
        // Neither the redaction nor the next event is ever heard of.
        let redacted = event.body.redacted(room.version.rules());
        world.write([events::redact(event.nid, missed.nid, &redacted)]).await;
        world.persist(&missed, 2).await;
        world.store.drop_mutable_caches();
        assert_eq!(world.store.last_change(room.nid), Sequence::MAX);
        let timeline = world.store.events_between(room.nid, 0, 2, 10).await.unwrap();
        assert_eq!(positions(&timeline), [2, 1]);
        assert_eq!(*timeline[1].body, redacted);
        assert_eq!(*world.store.event(event.nid).await.unwrap().unwrap().body, redacted);
    }
}
