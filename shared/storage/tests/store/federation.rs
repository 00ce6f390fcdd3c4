//! What is known of other servers.

use bytes::Bytes;
use plexus_storage::{
    destinations::Failing,
    facts,
    server_keys::{KEYS_PER_SERVER_MAX, KeySource, OldKey, ServerKey, rotate_signing_key},
};
use ruma::server_name;

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
