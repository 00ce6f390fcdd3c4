//! What is given out to be shown again.

use plexus_core::ids::UserNid;
use plexus_storage::{device_sightings::Sighting, tickets};

use crate::support::worlds;

#[tokio::test]
async fn a_ticket_is_taken_once_and_before_it_expires() {
    for world in worlds().await {
        let store = &world.store;
        store.insert_ticket(&[1; 32], 100, b"one").await.unwrap();
        assert_eq!(store.ticket(&[1; 32], 99).await.unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(store.ticket(&[1; 32], 100).await.unwrap(), None);
        assert_eq!(store.take_ticket(&[1; 32], 100).await.unwrap(), None);
        let other = world.other_process();
        assert_eq!(
            other.take_ticket(&[1; 32], 50).await.unwrap().as_deref(),
            Some(&b"one"[..])
        );
        assert_eq!(store.take_ticket(&[1; 32], 50).await.unwrap(), None);
    }
}

#[tokio::test]
async fn of_two_who_note_something_else_one_is_told_that_he_was_late() {
    for world in worlds().await {
        let store = &world.store;
        store.insert_ticket(&[1; 32], 100, b"old").await.unwrap();
        assert!(store.update_ticket(&[1; 32], b"old", b"first").await.unwrap());
        assert!(!store.update_ticket(&[1; 32], b"old", b"second").await.unwrap());
        assert_eq!(store.ticket(&[1; 32], 0).await.unwrap().as_deref(), Some(&b"first"[..]));
    }
}

#[tokio::test]
async fn expired_tickets_are_removed_and_others_are_not() {
    for world in worlds().await {
        let store = &world.store;
        for (number, expires_ms) in [(1, 10), (2, 20), (3, 30)] {
            store.insert_ticket(&[number; 32], expires_ms, b"").await.unwrap();
        }
        assert_eq!(tickets::prune(store.db(), 20).await.unwrap(), 2);
        assert_eq!(tickets::prune(store.db(), 20).await.unwrap(), 0);
        assert!(store.ticket(&[3; 32], 0).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_device_was_seen_last_when_it_was_seen_latest() {
    for world in worlds().await {
        let store = &world.store;
        let seen = |seen_ms| Sighting {
            device_id: "PHONE".into(),
            seen_ms,
            ip: "10.0.0.1".to_owned(),
            user_agent: "agent".to_owned(),
        };
        for seen_ms in [20, 10] {
            store.upsert_sighting(UserNid(1), &seen(seen_ms)).await.unwrap();
        }
        assert_eq!(store.sightings(UserNid(1)).await.unwrap(), [seen(20)]);
        assert!(store.sightings(UserNid(2)).await.unwrap().is_empty());
    }
}
