//! What is known of other servers, and what they have sent.

use bytes::Bytes;
use plexus_core::{event::EventBody, room_version::RoomVersion};
use plexus_storage::{
    destinations::Failing,
    facts, received_transactions,
    server_keys::{KEYS_PER_SERVER_MAX, KeySource, OldKey, ServerKey, rotate_signing_key},
    staged_events::{STAGED_PER_ORIGIN_MAX, STAGED_PER_ROOM_MAX},
};
use plexus_testkit::dag::{Attempt, CREATOR, Dag};
use ruma::{ServerName, server_name};

use crate::support::worlds;

fn key(id: &str, verify_key: &str, valid_until_ms: i64) -> ServerKey {
    ServerKey {
        server: server_name!("a.example").to_owned(),
        key_id: format!("ed25519:{id}"),
        verify_key: verify_key.to_owned(),
        valid_until_ms,
        expired_ms: None,
        fetched_ms: 5,
        document: Bytes::from(format!("{{\"{valid_until_ms}\":0}}")),
    }
}

#[tokio::test]
async fn hostile_26_a_key_is_not_overwritten_by_an_older_or_another_one() {
    for world in worlds().await {
        let store = &world.store;
        let server = server_name!("a.example");
        let known = async || store.server_key(server, "ed25519:1").await.unwrap();
        assert_eq!(known().await, None);
        let write = async |key: &ServerKey, source, now| {
            store
                .upsert_server_keys(std::slice::from_ref(key), source, now)
                .await
                .unwrap();
        };
        let first = key("1", "good", 1000);
        write(&first, KeySource::Notary, 10).await;
        assert_eq!(known().await.as_ref(), Some(&first));
        // Older, from a notary: what is known stays.
        write(&key("1", "good", 999), KeySource::Notary, 10).await;
        assert_eq!(known().await.as_ref(), Some(&first));
        // The server itself may take back how long it vouches.
        let shorter = ServerKey {
            expired_ms: Some(900),
            ..key("1", "good", 950)
        };
        write(&shorter, KeySource::Origin, 10).await;
        assert_eq!(known().await.as_ref(), Some(&shorter));
        // A notary with an old document that claims to count for long does not bring back what was retired.
        write(&key("1", "good", 9000), KeySource::Notary, 10).await;
        assert_eq!(known().await.as_ref(), Some(&shorter));
        // The same id for another key: nobody can say so while the first one counts...
        for source in [KeySource::Notary, KeySource::Origin] {
            write(&key("1", "other", 9000), source, 950).await;
            assert_eq!(known().await.as_ref(), Some(&shorter), "{source:?}");
        }
        // ... and afterwards only the server itself.
        write(&key("1", "other", 9000), KeySource::Notary, 951).await;
        assert_eq!(known().await.as_ref(), Some(&shorter));
        write(&key("1", "other", 9000), KeySource::Origin, 951).await;
        assert_eq!(known().await, Some(key("1", "other", 9000)));
    }
}

#[tokio::test]
async fn seed_5307_each_key_keeps_the_document_that_has_it() {
    for world in worlds().await {
        let store = &world.store;
        store
            .upsert_server_keys(&[key("1", "one", 10), key("2", "two", 10)], KeySource::Origin, 1)
            .await
            .unwrap();
        store
            .upsert_server_keys(&[key("2", "two", 20), key("3", "three", 20)], KeySource::Origin, 15)
            .await
            .unwrap();
        let known = store.server_keys(server_name!("a.example")).await.unwrap();
        assert_eq!(known, [key("1", "one", 10), key("2", "two", 20), key("3", "three", 20)]);
        assert!(store.server_keys(server_name!("b.example")).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_server_has_a_bounded_number_of_keys() {
    for world in worlds().await {
        let store = &world.store;
        let keys: Vec<ServerKey> = (0..=KEYS_PER_SERVER_MAX)
            .map(|n| key(&format!("k{n:03}"), "x", 10))
            .collect();
        store.upsert_server_keys(&keys, KeySource::Origin, 1).await.unwrap();
        let known = store.server_keys(server_name!("a.example")).await.unwrap();
        assert_eq!(known.len(), keys.len() - 1);
        store
            .upsert_server_keys(&[key("k000", "x", 20)], KeySource::Origin, 1)
            .await
            .unwrap();
        let known = store
            .server_key(server_name!("a.example"), "ed25519:k000")
            .await
            .unwrap();
        assert_eq!(known.map(|key| key.valid_until_ms), Some(20), "known ones still change");
    }
}

#[tokio::test]
async fn of_failures_at_once_the_first_counts() {
    for world in worlds().await {
        let store = &world.store;
        let server = server_name!("a.example");
        let known = async || store.failing_destination(server).await.unwrap();
        assert_eq!(known().await, None);
        let first = Failing {
            since_ms: 100,
            retry_at_ms: 200,
            interval_ms: 100,
        };
        let second = Failing {
            since_ms: 100,
            retry_at_ms: 700,
            interval_ms: 500,
        };
        store.note_failing_destination(server, &first, 100).await.unwrap();
        store.note_failing_destination(server, &second, 150).await.unwrap();
        assert_eq!(known().await, Some(first));
        store.note_failing_destination(server, &second, 200).await.unwrap();
        assert_eq!(known().await, Some(second));
        store.forget_failing_destination(server).await.unwrap();
        assert_eq!(known().await, None);
    }
}

#[tokio::test]
async fn a_signing_key_is_changed_once() {
    for world in worlds().await {
        let store = &world.store;
        facts::set(store.db(), facts::SIGNING_KEY, "ed25519:1 one")
            .await
            .unwrap();
        let old = OldKey {
            key_id: "ed25519:1".to_owned(),
            verify_key: "one".to_owned(),
            expired_ms: 7,
        };
        let rotate = async || {
            rotate_signing_key(store.db(), &old, "ed25519:1 one", "ed25519:2 two")
                .await
                .unwrap()
        };
        assert!(rotate().await);
        assert!(!rotate().await, "it is not the key in use any more");
        assert_eq!(store.old_signing_keys().await.unwrap(), std::slice::from_ref(&old));
        let fact = facts::get(store.db(), facts::SIGNING_KEY).await.unwrap();
        assert_eq!(fact.as_deref(), Some("ed25519:2 two"));
    }
}

#[tokio::test]
async fn hostile_25_a_transaction_has_the_answer_it_got_first() {
    for world in worlds().await {
        let store = &world.store;
        let (one, two) = (server_name!("one.example"), server_name!("two.example"));
        let note = async |server: &ServerName, id: &str, ms: i64, answer: &'static str| {
            let noted = store.note_received_transaction(server, id, ms, Bytes::from_static(answer.as_bytes()));
            noted.await.unwrap()
        };
        assert_eq!(store.received_transaction(one, "1").await.unwrap(), None);
        assert_eq!(note(one, "1", 10, "first").await, "first");
        assert_eq!(note(one, "1", 20, "second").await, "first");
        assert_eq!(note(two, "1", 30, "other").await, "other");
        let known = async |server| store.received_transaction(server, "1").await.unwrap();
        assert_eq!(known(one).await.as_deref(), Some(&b"first"[..]));
        assert_eq!(received_transactions::prune(store.db(), 30, 100).await.unwrap(), 1);
        assert_eq!(known(one).await, None);
        assert!(known(two).await.is_some());
    }
}

/// Events of a room.
fn messages(count: usize) -> Vec<EventBody> {
    let mut dag = Dag::new(RoomVersion::V11, 1);
    let base = dag.last();
    let said = (0..count).map(|number| {
        let at = dag.add(&[base], &Attempt::message(CREATOR, &format!("{number}")));
        EventBody::clone(&dag.events[at].body)
    });
    said.collect()
}

#[tokio::test]
async fn events_wait_until_they_are_settled_and_try_again_later_each() {
    for world in worlds().await {
        let store = &world.store;
        let room = world.room(1, RoomVersion::V11).await;
        let (nid, origin) = (room.nid, server_name!("one.example"));
        let events = messages(3);
        for (event, ms) in events.iter().zip(1..) {
            assert!(store.stage_event(nid, origin, event, ms).await.unwrap());
            assert!(
                store.stage_event(nid, origin, event, 9).await.unwrap(),
                "it waits already"
            );
        }
        let waiting = async || {
            let waiting = store.staged_events(&room, 100).await.unwrap();
            let told = waiting
                .iter()
                .map(|staged| (staged.event.clone(), staged.attempts, staged.retry_at_ms));
            told.collect::<Vec<_>>()
        };
        let [one, two, three] = &events[..] else {
            panic!("three")
        };
        let fresh = |event: &EventBody| (event.clone(), 0, 0);
        assert_eq!(waiting().await, [fresh(one), fresh(two), fresh(three)]);
        store.postpone_staged_event(nid, one.event_id(), 500).await.unwrap();
        assert_eq!(waiting().await, [fresh(two), fresh(three), (one.clone(), 1, 500)]);
        assert!(store.unstage_event(nid, two.event_id()).await.unwrap());
        assert!(!store.unstage_event(nid, two.event_id()).await.unwrap());
        assert_eq!(store.staged_rooms_due(100, 10).await.unwrap(), [nid]);
        store.unstage_event(nid, three.event_id()).await.unwrap();
        assert_eq!(store.staged_rooms_due(499, 10).await.unwrap(), []);
        assert_eq!(store.staged_rooms_due(500, 10).await.unwrap(), [nid]);
        store.unstage_all(nid).await.unwrap();
        assert_eq!(waiting().await, []);
    }
}

#[tokio::test]
async fn a_room_is_worked_on_by_one_process_until_it_lets_go_or_dies() {
    for world in worlds().await {
        let (store, other) = (&world.store, world.other_process());
        let room = world.room(1, RoomVersion::V11).await.nid;
        let event = messages(1).remove(0);
        store
            .stage_event(room, server_name!("one.example"), &event, 1)
            .await
            .unwrap();
        assert!(store.take_staged_room(room, 100, 200).await.unwrap());
        assert!(!other.take_staged_room(room, 199, 300).await.unwrap());
        assert_eq!(other.staged_rooms_due(199, 10).await.unwrap(), []);
        // It is kept for longer, by who knows until when he has it.
        assert!(store.take_staged_room(room, 200, 250).await.unwrap());
        assert!(!other.take_staged_room(room, 240, 300).await.unwrap());
        store.give_back_staged_room(room, 250).await.unwrap();
        assert!(other.take_staged_room(room, 240, 300).await.unwrap());
        // The first one comes back too late: what it gives back is another's now.
        store.give_back_staged_room(room, 250).await.unwrap();
        assert!(!store.take_staged_room(room, 299, 400).await.unwrap());
        assert!(
            store.take_staged_room(room, 300, 400).await.unwrap(),
            "the other one died"
        );
    }
}

#[tokio::test]
async fn so_many_events_wait_and_no_more() {
    for world in worlds().await {
        let store = &world.store;
        let (room, other) = (
            world.room(1, RoomVersion::V11).await.nid,
            world.room(2, RoomVersion::V11).await.nid,
        );
        let per_origin = usize::try_from(STAGED_PER_ORIGIN_MAX).unwrap();
        let all = usize::try_from(STAGED_PER_ROOM_MAX).unwrap();
        let events = messages(all + 1);
        let origins: Vec<String> = (0..=all / per_origin)
            .map(|number| format!("s{number}.example"))
            .collect();
        let mut staged = 0;
        for (number, event) in events.iter().enumerate() {
            let origin = <&ServerName>::try_from(origins[number / per_origin].as_str()).unwrap();
            staged += usize::from(store.stage_event(room, origin, event, 1).await.unwrap());
            if number == per_origin - 1 {
                let more = store.stage_event(room, origin, &events[all], 1);
                assert!(!more.await.unwrap(), "one server fills no room alone");
            }
        }
        assert_eq!(staged, all);
        let elsewhere = store.stage_event(other, server_name!("s0.example"), &events[all], 1);
        assert!(elsewhere.await.unwrap());
    }
}
