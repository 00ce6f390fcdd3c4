//! Keys against doubles of other servers: HOSTILE 26, and what seed rows say of fetching.

mod notaries;

use plexus_core::{
    event::{EventBody, NewEvent, SigningKey},
    room_version::RoomVersion,
};
use ruma::{UserId, room_id, server_name};
use serde_json::{json, value::RawValue};

use super::*;
use crate::testing::{DAY_MS, NOW_MS, PUBLISHED, World, document, document_of, signing};

#[tokio::test]
async fn a_key_is_fetched_once_and_then_known() {
    let world = World::new().await;
    let remote = world.remote().await;
    let key = signing("a", 9);
    remote.answers_at(PUBLISHED, document(&remote.name(), &key, NOW_MS + DAY_MS));
    let name = remote.name();
    let (one, two) = futures_util::join!(
        world.find(&name, "ed25519:a", NOW_MS),
        world.find(&name, "ed25519:a", NOW_MS)
    );
    assert_eq!(one.map(|key| key.key), Some(key.verify_key()));
    assert_eq!(one, two);
    assert!(world.for_request(&name, "ed25519:a").await);
    assert_eq!(remote.count(PUBLISHED), 1, "single flight, then memory");
    let request = &remote.received()[0];
    assert_eq!(request.headers["host"], name.as_str());
    assert_eq!(request.sni, None, "addresses have no server name indication");
}

#[tokio::test]
async fn seed_5321_a_key_past_its_time_is_fetched_again_or_refused() {
    let world = World::new().await;
    let remote = world.remote().await;
    let (name, key) = (remote.name(), signing("a", 9));
    remote.answers_at(PUBLISHED, document(&name, &key, NOW_MS + DAY_MS));
    assert!(world.for_request(&name, "ed25519:a").await);
    world.later(DAY_MS + 1);
    assert!(
        !world.for_request(&name, "ed25519:a").await,
        "the server still says the same"
    );
    assert_eq!(remote.count(PUBLISHED), 2);
    assert!(!world.for_request(&name, "ed25519:a").await);
    assert_eq!(remote.count(PUBLISHED), 2, "and is not asked with every request");
    assert!(
        world.find(&name, "ed25519:a", 0).await.is_some(),
        "events of old rooms are still verified"
    );
    remote.answers_at(PUBLISHED, document(&name, &key, NOW_MS + 3 * DAY_MS));
    world.later(60_000);
    assert!(world.for_request(&name, "ed25519:a").await);
}

#[tokio::test]
async fn hostile_26_nobody_vouches_for_more_than_a_week() {
    let world = World::new().await;
    let remote = world.remote().await;
    let (name, key) = (remote.name(), signing("a", 9));
    let in_3000 = 32_503_680_000_000;
    remote.answers_at(PUBLISHED, document(&name, &key, in_3000));
    assert!(world.for_request(&name, "ed25519:a").await);
    let known = world.find(&name, "ed25519:a", NOW_MS).await.expect("known");
    assert_eq!(i64_of(known.valid_until_ts), NOW_MS + 7 * DAY_MS);
    world.later(7 * DAY_MS + 1);
    remote.answers(|_| Some((500, String::new())));
    assert!(
        !world.for_request(&name, "ed25519:a").await,
        "so that its owner can take it back"
    );
}

#[tokio::test]
async fn hostile_26_a_document_that_is_not_the_servers_own_is_not_kept() {
    let world = World::new().await;
    let remote = world.remote().await;
    let (name, key) = (remote.name(), signing("a", 9));
    let other = document("victim.example", &key, NOW_MS + DAY_MS);
    let unsigned = document(&name, &key, NOW_MS + DAY_MS).replace(r#""signatures""#, r#""other""#);
    let big = format!(
        "{}{}",
        document(&name, &key, NOW_MS + DAY_MS),
        " ".repeat(document::BYTES_MAX)
    );
    for wrong in [other, unsigned, big, "{}".to_owned(), "[".repeat(2000)] {
        remote.answers_at(PUBLISHED, wrong.clone());
        assert!(!world.for_request(&name, "ed25519:a").await, "{wrong}");
        world.later(2 * 3600 * 1000);
    }
    assert_eq!(remote.count(PUBLISHED), 5);
    let victim = world
        .federation
        .0
        .keys
        .0
        .store
        .server_keys(server_name!("victim.example"))
        .await;
    assert_eq!(victim.expect("the database answers"), []);
}

#[tokio::test]
async fn a_retired_key_verifies_what_it_signed_and_no_request() {
    let world = World::new().await;
    let remote = world.remote().await;
    let (name, new, old) = (remote.name(), signing("new", 9), signing("old", 8));
    let published = document_of(
        &name,
        &new,
        &json!({
            "server_name": name, "valid_until_ts": NOW_MS + DAY_MS,
            "verify_keys": {"ed25519:new": {"key": new.verify_key().to_base64()}},
            "old_verify_keys": {"ed25519:old": {"key": old.verify_key().to_base64(), "expired_ts": NOW_MS - DAY_MS}},
        }),
    );
    remote.answers_at(PUBLISHED, published);
    let known = world.find(&name, "ed25519:old", NOW_MS).await.expect("known");
    assert_eq!(
        (known.key, known.expired_ts),
        (old.verify_key(), Some(u64_of(NOW_MS - DAY_MS)))
    );
    assert!(!world.for_request(&name, "ed25519:old").await);
    assert!(world.for_request(&name, "ed25519:new").await);
    assert_eq!(remote.count(PUBLISHED), 1, "nothing better can be had of a retired key");
}

#[tokio::test]
async fn a_server_that_is_away_is_asked_less_and_less() {
    let world = World::new().await;
    let remote = world.remote().await;
    let name = remote.name();
    let mut asked = Vec::new();
    for _ in 0..60 {
        assert!(!world.for_request(&name, "ed25519:a").await);
        asked.push(remote.count(PUBLISHED));
        world.later(10_000);
    }
    assert_eq!(asked.last(), Some(&5), "at 0, 30 s, 90 s, 210 s, 450 s: {asked:?}");
}

#[tokio::test]
async fn own_keys_are_known_without_asking() {
    let world = World::new().await;
    assert!(world.for_request("here.example", "ed25519:own").await);
    assert!(!world.for_request("here.example", "ed25519:old").await);
    let old = world.find("here.example", "ed25519:old", 0).await.expect("known");
    assert_eq!(old.expired_ts, Some(77));
    let published = world.keys().published().expect("JSON");
    assert_eq!(published, world.keys().published().expect("JSON"));
    let parsed = document::KeyDocument::parse(published.as_bytes(), server_name!("here.example")).expect("valid");
    assert_eq!(parsed.valid_until_ms, NOW_MS + DAY_MS);
    assert_eq!(parsed.old_keys.len(), 1);
    world.later(DAY_MS / 2);
    let renewed = world.keys().published().expect("JSON");
    assert!(
        renewed.contains(&(NOW_MS + DAY_MS + DAY_MS / 2).to_string()),
        "{renewed}"
    );
}

/// An event of a server's user, signed with a key.
fn event(version: RoomVersion, server: &str, key: &SigningKey) -> ParsedEvent {
    let rules = version.rules();
    let sender = UserId::parse(format!("@a:{server}")).expect("a user");
    let content = RawValue::from_string("{}".to_owned()).expect("JSON");
    let new = NewEvent {
        room_id: Some(room_id!("!room:here.example")),
        sender: &sender,
        kind: "m.room.message",
        state_key: None,
        content: &content,
        prev_events: &[],
        auth_events: &[],
        depth: 1,
        origin_server_ts: u64_of(NOW_MS),
        redacts: None,
        legacy: None,
    };
    let server = <&ServerName>::try_from(server).expect("a name");
    let sealed = new.seal(rules, key, server).expect("valid");
    EventBody::parse(sealed.json().as_bytes(), rules).expect("valid")
}

#[tokio::test]
async fn p4_a_key_past_its_time_signs_events_of_old_room_versions_only() {
    let world = World::new().await;
    let remote = world.remote().await;
    let (name, key) = (remote.name(), signing("a", 9));
    // Nobody vouched for the key at the time of the events.
    remote.answers_at(PUBLISHED, document(&name, &key, NOW_MS - 1));
    for (version, accepted) in [
        (RoomVersion::V4, true),
        (RoomVersion::V5, false),
        (RoomVersion::V11, false),
    ] {
        let events = [event(version, &name, &key)];
        let known = world.keys().for_events(&events).await.expect("the database answers");
        let [event] = events;
        let verified = event.verify(&|server, key_id| known.get(server, key_id));
        assert_eq!(verified.is_ok(), accepted, "{version:?}");
    }
    remote.answers_at(PUBLISHED, document(&name, &key, NOW_MS));
    world.later(3600 * 1000);
    let events = [event(RoomVersion::V5, &name, &key)];
    let known = world.keys().for_events(&events).await.expect("the database answers");
    let [event] = events;
    event
        .verify(&|server, key_id| known.get(server, key_id))
        .expect("vouched for at that time");
}
