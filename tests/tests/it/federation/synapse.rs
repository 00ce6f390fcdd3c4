//! Being in rooms together with Synapse: what is said, done and forked on one side is so on the other.

mod gone;
mod talk;
mod things;

use std::collections::BTreeSet;

use plexus_tests::{Answer, Cluster, PATIENCE, User, encode, eventually};
use serde_json::{Value, json};

use super::joining::{Side, join_via, membership, synapse, until_same_state};

/// This server and Synapse, and the other way round.
async fn both_ways(cluster: &Cluster) -> [[Side; 2]; 2] {
    [
        [Side::of(cluster), synapse().await],
        [synapse().await, Side::of(cluster)],
    ]
}

/// A user of each, in a public room of the first.
async fn together(sides: &[Side; 2]) -> (User, User, String) {
    let alice = User::register(&sides[0].http, "alice").await;
    let bob = User::register(&sides[1].http, "bob").await;
    let room = alice.create_public_room().await;
    join_via(&bob, &room, &sides[0].name).await.ok();
    // Whoever comes in gets the rest of the state by and by, and cannot any more once he is put out.
    until_same_state(&alice, &bob, &room).await;
    (alice, bob, room)
}

/// Waits until the user finds messages in a room's history, in whatever order.
async fn until_heard(user: &User, room: &str, texts: &[&str]) {
    eventually(2 * PATIENCE, &format!("{} to hear {texts:?}", user.id), async || {
        let page = user.messages(room, "b", "&limit=100").await.ok();
        let bodies = page["chunk"].as_array().into_iter().flatten();
        let bodies: BTreeSet<&str> = bodies.filter_map(|event| event["content"]["body"].as_str()).collect();
        if texts.iter().all(|text| bodies.contains(text)) {
            Ok(())
        } else {
            Err(format!("{bodies:?}"))
        }
    })
    .await;
}

/// Sends a state event.
async fn set_state(user: &User, room: &str, (kind, key): (&str, &str), content: &Value) -> Answer {
    let target = format!("/_matrix/client/v3/rooms/{}/state/{kind}/{}", encode(room), encode(key));
    user.http.put(&target, content).await
}

/// The content of a piece of a room's state.
async fn state_content(user: &User, room: &str, kind: &str) -> Value {
    let target = format!("/_matrix/client/v3/rooms/{}/state/{kind}/", encode(room));
    let answer = user.http.get(&target).await;
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// Waits until somebody is this to a room by another's eyes.
async fn until_membership(seeing: &User, room: &str, target: &str, wanted: &str) {
    let what = format!("{} to see {target} as {wanted}", seeing.id);
    eventually(PATIENCE, &what, async || match membership(seeing, room, target).await {
        is if is == wanted => Ok(()),
        is => Err(is.to_string()),
    })
    .await;
}

/// Waits until incremental syncs show something.
async fn until_told<T>(user: &User, what: &str, since: &str, look: impl Fn(&Value) -> Option<T>) -> T {
    eventually(PATIENCE, what, async || {
        let answer = user.sync(Some(since), 0, "").await.ok();
        look(&answer).ok_or_else(|| answer.to_string())
    })
    .await
}

/// Where a user's next sync goes on.
async fn place(user: &User) -> String {
    let answer = user.sync(None, 0, "").await.ok();
    answer["next_batch"]
        .as_str()
        .expect("a sync says where to go on")
        .to_owned()
}

/// The events of a kind of list in a part of a sync.
fn events<'a>(part: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    part[list]["events"].as_array().into_iter().flatten()
}

/// Uploads device keys and a one-time key that no client could verify, but every server takes; the device's id comes back.
async fn upload_keys(user: &User) {
    let body = json!({
        "device_keys": {
            "user_id": user.id, "device_id": user.device, "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
            "keys": {format!("curve25519:{}", user.device): "curve", format!("ed25519:{}", user.device): "ed"},
            "signatures": {&user.id: {format!("ed25519:{}", user.device): "signature"}},
        },
        "one_time_keys": {"signed_curve25519:AAAAAQ": {"key": "one", "signatures": {}}},
    });
    user.http.post("/_matrix/client/v3/keys/upload", &body).await.ok();
}
