//! Keys and devices between servers.

use std::sync::Arc;

use http::Method;
use plexus_core::room_version::RoomVersion;
use plexus_testkit::dag::Attempt;
use plexus_tests::{Cluster, PATIENCE, Peer, Shared, Topology, User, encode, eventually, fresh_name};
use serde_json::{Value, json};

use super::visited::Visited;

/// A double tells the master of rooms as a worker does; one process alone has no door for that.
static SPLIT: Shared = Shared::federated(Topology::Split);

const DEVICES: &str = "/_matrix/federation/v1/user/devices/";

async fn query(user: &User, whom: &str) -> Value {
    let body = json!({"device_keys": {whom: []}});
    user.http.post("/_matrix/client/v3/keys/query", &body).await.ok()
}

/// A device's keys, as much of them as a server looks at.
fn device(user_id: &str, device_id: &str) -> Value {
    json!({
        "user_id": user_id, "device_id": device_id, "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": {format!("ed25519:{device_id}"): "key"}, "signatures": {user_id: {format!("ed25519:{device_id}"): "signature"}},
    })
}

/// Lets the double answer for the devices of one of its users.
fn answers_devices(peer: &Peer, user_id: &str, stream_id: i64, devices: &[&str]) {
    let target = format!("{DEVICES}{}", encode_as_servers(user_id));
    let devices: Vec<Value> = devices
        .iter()
        .map(|id| json!({"device_id": id, "device_display_name": format!("The {id}"), "keys": device(user_id, id)}))
        .collect();
    let body = json!({"user_id": user_id, "stream_id": stream_id, "devices": devices});
    peer.answers(move |request| (request.target == target).then(|| (200, body.clone())));
}

/// As servers escape what is in a path.
fn encode_as_servers(text: &str) -> String {
    plexus_federation::request::encode(text)
}

fn asked(peer: &Peer, user_id: &str) -> usize {
    peer.remote.count(&format!("{DEVICES}{}", encode_as_servers(user_id)))
}

#[test]
fn devices_of_others_are_asked_for_once_while_a_room_is_shared() {
    SPLIT.run(kept_lists);
}

async fn kept_lists(cluster: Arc<Cluster>) {
    let mut visited = Visited::new(&cluster, RoomVersion::V11).await;
    let alice = visited.alice.clone();
    answers_devices(&visited.peer, &alice, 5, &["ONE", "TWO"]);
    for _ in 0..2 {
        let known = query(&visited.dave, &alice).await;
        let mut one = device(&alice, "ONE");
        one["unsigned"] = json!({"device_display_name": "The ONE"});
        assert_eq!(known["device_keys"][&alice]["ONE"], one, "{known}");
        assert!(
            known["device_keys"][&alice]["TWO"].is_object() && known["failures"] == json!({}),
            "{known}"
        );
    }
    assert_eq!(asked(&visited.peer, &alice), 1);

    // Once nobody here shares a room with her, nobody tells of changes: the list is asked for anew when somebody does again.
    let dave = visited.dave.id.clone();
    for membership in ["leave", "join"] {
        visited.add(&Attempt::member(&dave, &dave, membership)).await;
    }
    answers_devices(&visited.peer, &alice, 7, &["THREE"]);
    let known = query(&visited.dave, &alice).await;
    let devices = known["device_keys"][&alice].as_object().expect("devices");
    assert_eq!(devices.keys().collect::<Vec<_>>(), ["THREE"]);

    // A change of somebody's profile is none of that.
    let name = format!("/_matrix/client/v3/profile/{}/displayname", encode(&visited.dave.id));
    visited.dave.http.put(&name, &json!({"displayname": "Dave"})).await.ok();
    query(&visited.dave, &alice).await;
    assert_eq!(asked(&visited.peer, &alice), 2);
}

#[test]
fn lists_follow_the_changes_that_are_told() {
    SPLIT.run(followed_lists);
}

/// What a server tells of a device of one of its users.
fn told(user_id: &str, (stream_id, previous): (i64, i64), more: &Value) -> Value {
    let mut content = more.clone();
    content["user_id"] = user_id.into();
    content["stream_id"] = stream_id.into();
    content["prev_id"] = json!([previous]);
    json!({"edu_type": "m.device_list_update", "content": content})
}

async fn followed_lists(cluster: Arc<Cluster>) {
    let visited = Visited::new(&cluster, RoomVersion::V11).await;
    let (alice, dave, peer) = (&visited.alice, &visited.dave, &visited.peer);
    answers_devices(peer, alice, 5, &["ONE"]);
    query(dave, alice).await;
    let since = dave.sync(None, 0, "").await.ok()["next_batch"]
        .as_str()
        .expect("a token")
        .to_owned();
    let tell = async |edu: Value| {
        let id = fresh_name("txn");
        peer.transaction(&visited.http, &visited.server, &id, &[], &[edu])
            .await
            .ok();
    };
    let until_known = async |wanted: &[&str]| {
        eventually(PATIENCE, &format!("{wanted:?} to be known"), async || {
            let known = query(dave, alice).await;
            let devices = known["device_keys"][alice].as_object().cloned().unwrap_or_default();
            if devices.keys().eq(wanted) {
                Ok(())
            } else {
                Err(known.to_string())
            }
        })
        .await;
    };
    let more = json!({"device_id": "TWO", "device_display_name": "Two", "keys": device(alice, "TWO")});
    tell(told(alice, (6, 5), &more)).await;
    until_known(&["ONE", "TWO"]).await;
    eventually(PATIENCE, "dave to learn of it", async || {
        let sync = dave.sync(Some(&since), 0, "").await.ok();
        let changed = sync["device_lists"]["changed"].as_array().cloned().unwrap_or_default();
        if changed.contains(&json!(alice)) {
            Ok(())
        } else {
            Err(sync.to_string())
        }
    })
    .await;
    // What is said of others' users, or once more, changes nothing.
    let foreign = json!({"device_id": "ONE", "keys": device(&dave.id, "ONE")});
    tell(told(&dave.id, (7, 6), &foreign)).await;
    tell(told(alice, (6, 5), &json!({"device_id": "TWO", "deleted": true}))).await;
    tell(told(alice, (7, 6), &json!({"device_id": "ONE", "deleted": true}))).await;
    until_known(&["TWO"]).await;
    assert_eq!(asked(peer, alice), 1);
    // One that was missed shows in the next.
    answers_devices(peer, alice, 9, &["THREE"]);
    tell(told(
        alice,
        (9, 8),
        &json!({"device_id": "FOUR", "keys": device(alice, "FOUR")}),
    ))
    .await;
    until_known(&["THREE"]).await;
    // Because of the change, and perhaps by who wanted to know before that was answered.
    assert!((2..=3).contains(&asked(peer, alice)));

    let master = json!({"user_id": alice, "usage": ["master"], "keys": {"ed25519:abc": "abc"}});
    let edu = json!({"edu_type": "m.signing_key_update", "content": {"user_id": alice, "master_key": master}});
    tell(edu).await;
    eventually(PATIENCE, "the master key to be known", async || {
        let known = query(dave, alice).await;
        if known["master_keys"][alice] == master {
            Ok(())
        } else {
            Err(known.to_string())
        }
    })
    .await;
}

#[test]
fn hostile_6_what_others_say_of_keys_spoils_nothing() {
    SPLIT.run(hostile_keys);
}

async fn hostile_keys(cluster: Arc<Cluster>) {
    let visited = Visited::new(&cluster, RoomVersion::V11).await;
    let alice = visited.alice.clone();
    let target = format!("{DEVICES}{}", encode_as_servers(&alice));
    let foreign = visited.dave.id.clone();
    let body = json!({"user_id": alice, "stream_id": 1, "devices": [
        {"device_id": "GOOD", "keys": device(&alice, "GOOD")},
        {"device_id": "OTHER", "keys": device(&alice, "GOOD")},
        {"device_id": "FOREIGN", "keys": device(&foreign, "FOREIGN")},
        {"device_id": "FLOAT", "keys": {"user_id": alice, "device_id": "FLOAT", "a": 1.5}},
        {"device_id": "SIGNATURES", "keys": {"signatures": {(&*alice): "none"}}},
        {"device_id": "x".repeat(300), "keys": {}},
        {"device_id": "LIST", "keys": []},
        {"device_id": "NONE"},
    ]});
    visited
        .peer
        .answers(move |request| (request.target == target).then(|| (200, body.clone())));
    let known = query(&visited.dave, &alice).await;
    let devices = known["device_keys"][&alice].as_object().expect("devices");
    assert_eq!(devices.keys().collect::<Vec<_>>(), ["GOOD"], "{known}");
}

#[test]
fn keys_of_those_who_share_no_room_are_asked_for_and_not_kept() {
    SPLIT.run(strangers);
}

async fn strangers(cluster: Arc<Cluster>) {
    let (peer, silent) = (Peer::start().await, Peer::start().await);
    let (alice, bob) = (peer.user("alice"), silent.user("bob"));
    let keys = json!({
        "device_keys": {(&*alice): {"ONE": device(&alice, "ONE")}, (&*bob): {"ONE": device(&bob, "ONE")}},
        "master_keys": {(&*alice): {"user_id": alice, "usage": ["master"], "keys": {"ed25519:abc": "abc"}}},
    });
    peer.answers(move |request| {
        let is_query = request.method == Method::POST && request.target == "/_matrix/federation/v1/user/keys/query";
        is_query.then(|| (200, keys.clone()))
    });
    silent.falls_silent();
    let dave = User::register(&cluster.http(), "dave").await;
    let body = json!({"device_keys": {(&*alice): [], (&*bob): []}, "timeout": 500});
    for _ in 0..2 {
        let known = dave.http.post("/_matrix/client/v3/keys/query", &body).await.ok();
        assert_eq!(known["device_keys"], json!({(&*alice): {"ONE": device(&alice, "ONE")}}));
        assert_eq!(known["master_keys"][&alice]["keys"], json!({"ed25519:abc": "abc"}));
        // One server that does not answer keeps nobody from the others' answers.
        let failed: Vec<&String> = known["failures"].as_object().expect("failures").keys().collect();
        assert_eq!(failed, [&silent.name()]);
    }
    assert_eq!(peer.remote.count("/_matrix/federation/v1/user/keys/query"), 2);
}

#[test]
fn one_time_keys_are_taken_from_their_servers() {
    SPLIT.run(claiming);
}

async fn claiming(cluster: Arc<Cluster>) {
    let (peer, silent) = (Peer::start().await, Peer::start().await);
    let (alice, bob) = (peer.user("alice"), silent.user("bob"));
    let key = json!({"key": "x", "signatures": {}});
    let keys = json!({"one_time_keys": {
        (&*alice): {"ONE": {"signed_curve25519:A": key, "curve25519:B": "y"}, "TWO": {"signed_curve25519:A": key}},
        (&*bob): {"ONE": {"signed_curve25519:A": key}},
    }});
    peer.answers(move |request| {
        let is_claim = request.target == "/_matrix/federation/v1/user/keys/claim";
        is_claim.then(|| (200, keys.clone()))
    });
    silent.falls_silent();
    let dave = User::register(&cluster.http(), "dave").await;
    let one = json!({"ONE": "signed_curve25519"});
    let body = json!({"one_time_keys": {(&*alice): one, (&*bob): one}, "timeout": 500});
    let claimed = dave.http.post("/_matrix/client/v3/keys/claim", &body).await.ok();
    assert_eq!(
        claimed["one_time_keys"],
        json!({(&*alice): {"ONE": {"signed_curve25519:A": key}}})
    );
    let failed: Vec<&String> = claimed["failures"].as_object().expect("failures").keys().collect();
    assert_eq!(failed, [&silent.name()]);
}

#[test]
fn other_servers_are_told_of_devices_of_ours_alone() {
    SPLIT.run(serving);
}

async fn serving(cluster: Arc<Cluster>) {
    let visited = Visited::new(&cluster, RoomVersion::V11).await;
    let (dave, alice) = (&visited.dave, &visited.alice);
    let named = format!("/_matrix/client/v3/devices/{}", encode(&dave.device));
    dave.http
        .put(&named, &json!({"display_name": "In Dave's pocket"}))
        .await
        .ok();
    let keys = device(&dave.id, &dave.device);
    let upload = json!({"device_keys": keys, "one_time_keys": {"signed_curve25519:A": {"key": "x"}}});
    dave.http.post("/_matrix/client/v3/keys/upload", &upload).await.ok();
    // What is known here of users of other servers is for those servers to tell.
    answers_devices(&visited.peer, alice, 5, &["ONE"]);
    query(dave, alice).await;

    let mut shown = keys.clone();
    shown["unsigned"] = json!({});
    let target = format!("{DEVICES}{}", encode(&dave.id));
    let list = visited.asks(&visited.peer, &target).await.ok();
    assert_eq!(list["devices"], json!([{"device_id": dave.device, "keys": shown}]));
    assert!(list["stream_id"].as_i64().is_some_and(|id| id > 0), "{list}");
    let target = format!("{DEVICES}{}", encode(alice));
    visited
        .asks(&visited.peer, &target)
        .await
        .expect_error(400, "M_INVALID_PARAM");
    let target = format!("{DEVICES}{}", encode(&format!("@nobody:{}", visited.server)));
    visited
        .asks(&visited.peer, &target)
        .await
        .expect_error(404, "M_NOT_FOUND");

    let body = json!({"device_keys": {(&*dave.id): [], (&**alice): []}});
    let known = visited
        .posts(&visited.peer, "/_matrix/federation/v1/user/keys/query", &body)
        .await
        .ok();
    assert_eq!(known["device_keys"], json!({(&*dave.id): {(&*dave.device): shown}}));
    assert!(known.get("user_signing_keys").is_none(), "{known}");

    let one = |device: &str| json!({device: "signed_curve25519"});
    let body = json!({"one_time_keys": {(&*dave.id): one(&dave.device), (&**alice): one("ONE")}});
    for expected in [
        json!({(&*dave.id): {(&*dave.device): {"signed_curve25519:A": {"key": "x"}}}}),
        json!({}),
    ] {
        let claimed = visited
            .posts(&visited.peer, "/_matrix/federation/v1/user/keys/claim", &body)
            .await
            .ok();
        assert_eq!(claimed["one_time_keys"], expected);
    }
}
