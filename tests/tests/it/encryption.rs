//! People encrypt: keys of devices and users, messages to devices, backups.

mod signing;

use std::{collections::BTreeSet, sync::Arc};

use http::Method;
use plexus_tests::{Answer, Cluster, NoAnswer, PATIENCE, Shared, Topology, User, encode, eventually, fresh_name};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::signing::users_sign_each_other;

super::scenarios! {
    each_key_is_claimed_by_one,
    others_learn_of_devices,
    messages_reach_the_devices_they_are_for,
    users_sign_each_other,
    the_better_key_is_backed_up,
}

static ALL_IN_ONE: Shared = Shared::by_turns(Topology::AllInOne);
static SPLIT: Shared = Shared::by_turns(Topology::Split);

const CLIENT: &str = "/_matrix/client/v3";
const ALGORITHM: &str = "signed_curve25519";
/// One-time keys, claimed by two people at once.
const KEYS: usize = 20;
/// Messages that are sent while processes are killed.
const MESSAGES: usize = 240;

async fn post(user: &User, path: &str, body: &Value) -> Answer {
    user.http.post(&format!("{CLIENT}/{path}"), body).await
}

async fn put(user: &User, path: &str, body: &Value) -> Answer {
    user.http.put(&format!("{CLIENT}/{path}"), body).await
}

async fn get(user: &User, path: &str) -> Answer {
    user.http.get(&format!("{CLIENT}/{path}")).await
}

async fn delete(user: &User, path: &str) -> Answer {
    user.http.send(Method::DELETE, &format!("{CLIENT}/{path}"), "").await
}

fn device_keys(user: &User) -> Value {
    json!({
        "user_id": user.id,
        "device_id": user.device,
        "algorithms": ["m.megolm.v1.aes-sha2"],
        "keys": {format!("ed25519:{}", user.device): "a+public+key"},
        "signatures": {user.id.clone(): {format!("ed25519:{}", user.device): "a+signature"}},
    })
}

async fn next(user: &User, before: &Value) -> Value {
    let since = before["next_batch"].as_str().expect("a token");
    user.sync(Some(since), 0, "").await.ok()
}

fn names(list: &Value) -> BTreeSet<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

async fn each_key_is_claimed_by_one(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let alice = User::register(&http, "alice").await;
    let key = |n: usize| (format!("{ALGORITHM}:{n:03}"), json!({"key": format!("{n}")}));
    let keys: serde_json::Map<_, _> = (0..KEYS).map(key).collect();
    let body = json!({
        "device_keys": device_keys(&alice),
        "one_time_keys": keys,
        "fallback_keys": {format!("{ALGORITHM}:fb"): {"key": "fb", "fallback": true}},
    });
    let counts = post(&alice, "keys/upload", &body).await.ok();
    assert_eq!(counts["one_time_key_counts"], json!({ALGORITHM: KEYS}));
    let again = json!({"one_time_keys": {format!("{ALGORITHM}:000"): {"key": "another"}}});
    post(&alice, "keys/upload", &again)
        .await
        .expect_error(400, "M_INVALID_PARAM");
    let mut deep = json!(1);
    for _ in 0..200 {
        deep = json!({"a": deep});
    }
    let deep = json!({"one_time_keys": {"x:y": deep}});
    post(&alice, "keys/upload", &deep).await.expect_error(400, "M_BAD_JSON");
    let told = alice.sync(None, 0, "").await.ok();
    assert_eq!(told["device_one_time_keys_count"], json!({ALGORITHM: KEYS}));
    assert_eq!(told["device_unused_fallback_key_types"], json!([ALGORITHM]));
    let mut claiming = JoinSet::new();
    for n in 0..2 * KEYS {
        let claimer = if n % 2 == 0 {
            User::register(&http, "bob").await
        } else {
            alice.clone()
        };
        let body = json!({"one_time_keys": {alice.id.clone(): {alice.device.clone(): ALGORITHM}}});
        let (id, device) = (alice.id.clone(), alice.device.clone());
        claiming.spawn(async move {
            let answer = post(&claimer, "keys/claim", &body).await.ok();
            let keys = answer["one_time_keys"][&id][&device]
                .as_object()
                .expect("a key")
                .clone();
            keys.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        });
    }
    let claimed: Vec<String> = claiming.join_all().await.into_iter().flatten().collect();
    let of_everybody: BTreeSet<&String> = claimed.iter().collect();
    assert_eq!((claimed.len(), of_everybody.len()), (2 * KEYS, KEYS + 1), "{claimed:?}");
    let fallback = claimed.iter().filter(|name| name.ends_with(":fb")).count();
    assert_eq!(fallback, KEYS);
    let told = next(&alice, &told).await;
    assert_eq!(told["device_one_time_keys_count"], json!({ALGORITHM: 0}));
    assert_eq!(told["device_unused_fallback_key_types"], json!([]));
    let none = json!({"one_time_keys": {alice.id.clone(): {alice.device.clone(): "other"}}});
    assert_eq!(post(&alice, "keys/claim", &none).await.ok()["one_time_keys"], json!({}));
}

async fn others_learn_of_devices(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let room = alice.create_public_room().await;
    let first = alice.sync(None, 0, "").await.ok();
    bob.join(&room).await;
    let joined = next(&alice, &first).await;
    assert_eq!(
        names(&joined["device_lists"]["changed"]),
        BTreeSet::from([bob.id.as_str()])
    );
    let wrong = json!({"device_keys": device_keys(&alice)});
    post(&bob, "keys/upload", &wrong)
        .await
        .expect_error(400, "M_INVALID_PARAM");
    let lacking = json!({"device_keys": {"user_id": bob.id, "device_id": bob.device}});
    post(&bob, "keys/upload", &lacking)
        .await
        .expect_error(400, "M_BAD_JSON");
    let since = joined["next_batch"].as_str().expect("a token").to_owned();
    let waiting = alice.sync(Some(&since), 60_000, "");
    let body = json!({"device_keys": device_keys(&bob)});
    let (told, _) = tokio::join!(waiting, post(&bob, "keys/upload", &body));
    let told = told.ok();
    assert_eq!(
        names(&told["device_lists"]["changed"]),
        BTreeSet::from([bob.id.as_str()])
    );
    let query = json!({"device_keys": {bob.id.clone(): [], "@nobody:remote.example": []}});
    let known = post(&alice, "keys/query", &query).await.ok();
    let mut expected = device_keys(&bob);
    expected["unsigned"] = json!({});
    assert_eq!(known["device_keys"][&bob.id], json!({bob.device.clone(): expected}));
    assert!(known["failures"]["remote.example"].is_object(), "{known}");
    let tablet = bob.log_in_again().await;
    let told = next(&alice, &told).await;
    assert_eq!(
        names(&told["device_lists"]["changed"]),
        BTreeSet::from([bob.id.as_str()])
    );
    post(&bob, "logout", &json!({})).await.ok();
    let told = next(&alice, &told).await;
    assert_eq!(
        names(&told["device_lists"]["changed"]),
        BTreeSet::from([bob.id.as_str()])
    );
    let known = post(&alice, "keys/query", &query).await.ok();
    assert_eq!(known["device_keys"][&bob.id], json!({}));
    let last = told["next_batch"].as_str().expect("a token");
    let changes = format!("keys/changes?from={}&to={}", encode(&since), encode(last));
    let changes = get(&alice, &changes).await.ok();
    assert_eq!(names(&changes["changed"]), BTreeSet::from([bob.id.as_str()]));
    tablet.act(&room, "leave", &json!({})).await.ok();
    let told = next(&alice, &told).await;
    assert_eq!(names(&told["device_lists"]["left"]), BTreeSet::from([bob.id.as_str()]));
}

fn to_device(told: &Value) -> Vec<i64> {
    let events = told["to_device"]["events"].as_array();
    let events = events.into_iter().flatten();
    events.filter_map(|event| event["content"]["n"].as_i64()).collect()
}

async fn messages_reach_the_devices_they_are_for(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, phone) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let tablet = phone.log_in_again().await;
    let first = phone.sync(None, 0, "").await.ok();
    let since = first["next_batch"].as_str().expect("a token").to_owned();
    let message = |device: &str, n: i64| json!({"messages": {phone.id.clone(): {device: {"n": n}}}});
    let txn = fresh_name("txn");
    let target = format!("sendToDevice/m.test/{txn}");
    let body = message(&phone.device, 1);
    let (told, _) = tokio::join!(phone.sync(Some(&since), 60_000, ""), put(&alice, &target, &body));
    let told = told.ok();
    assert_eq!(to_device(&told), [1]);
    let event = json!({"content": {"n": 1}, "sender": alice.id, "type": "m.test"});
    assert_eq!(told["to_device"]["events"], json!([event]));
    put(&alice, &target, &message(&phone.device, 1)).await.ok();
    put(&alice, &format!("{target}x"), &message("*", 2)).await.ok();
    put(&alice, &format!("{target}y"), &message("UNKNOWN", 3)).await.ok();
    let body = json!({"messages": {phone.id.clone(): {"*": 1}}});
    put(&alice, &format!("{target}z"), &body)
        .await
        .expect_error(400, "M_BAD_JSON");
    let second = next(&phone, &told).await;
    assert_eq!(to_device(&second), [2]);
    assert_eq!(to_device(&next(&phone, &told).await), [2], "it was not acknowledged");
    assert_eq!(to_device(&next(&phone, &second).await), Vec::<i64>::new());
    // What was acknowledged is gone, also for who forgets his token.
    assert_eq!(to_device(&phone.sync(None, 0, "").await.ok()), Vec::<i64>::new());
    assert_eq!(to_device(&tablet.sync(None, 0, "").await.ok()), [2]);
}

async fn the_better_key_is_backed_up(cluster: Arc<Cluster>) {
    let user = User::register(&cluster.http(), "alice").await;
    get(&user, "room_keys/version").await.expect_error(404, "M_NOT_FOUND");
    let version = json!({"algorithm": "m.megolm_backup.v1", "auth_data": {"public_key": "x"}});
    let old = post(&user, "room_keys/version", &version).await.ok();
    let current = post(&user, "room_keys/version", &version).await.ok();
    assert_eq!((&old["version"], &current["version"]), (&json!("1"), &json!("2")));
    let key = |index: i64, verified: bool| json!({"first_message_index": index, "forwarded_count": 0, "is_verified": verified, "session_data": {"index": index}});
    let keys = json!({"rooms": {"!a:x": {"sessions": {"one": key(5, false), "two": key(1, true)}}}});
    let refused = put(&user, "room_keys/keys?version=1", &keys).await;
    refused.expect_error(403, "M_WRONG_ROOM_KEYS_VERSION");
    assert_eq!(refused.json()["current_version"], "2");
    let stored = put(&user, "room_keys/keys?version=2", &keys).await.ok();
    assert_eq!(stored["count"], 2);
    let room = format!("room_keys/keys/{}", encode("!a:x"));
    let worse = put(&user, &format!("{room}/one?version=2"), &key(6, false)).await.ok();
    assert_eq!(worse, stored, "nothing was better");
    let better = json!({"sessions": {"one": key(9, true), "two": key(0, false), "three": key(0, false)}});
    let better = put(&user, &format!("{room}?version=2"), &better).await.ok();
    assert_eq!(better["count"], 3);
    assert_ne!(better["etag"], stored["etag"]);
    let all = get(&user, "room_keys/keys?version=2").await.ok();
    let sessions = json!({"one": key(9, true), "two": key(1, true), "three": key(0, false)});
    assert_eq!(all, json!({"rooms": {"!a:x": {"sessions": sessions}}}));
    assert_eq!(
        get(&user, &format!("{room}?version=2")).await.ok(),
        json!({"sessions": sessions})
    );
    assert_eq!(get(&user, &format!("{room}/two?version=2")).await.ok(), key(1, true));
    get(&user, &format!("{room}/four?version=2"))
        .await
        .expect_error(404, "M_NOT_FOUND");
    // Two devices at once: both sets of keys are there.
    let put_many = async |name: &str| {
        for n in 0..10 {
            let target = format!("{room}/{name}{n}?version=2");
            put(&user, &target, &key(n, true)).await.ok();
        }
    };
    tokio::join!(put_many("left"), put_many("right"));
    let info = get(&user, "room_keys/version").await.ok();
    assert_eq!((&info["count"], &info["version"]), (&json!(23), &json!("2")));
    let gone = delete(&user, &format!("{room}/one?version=2")).await.ok();
    assert_eq!(gone["count"], 22);
    let gone = delete(&user, "room_keys/keys?version=2").await.ok();
    assert_eq!(gone["count"], 0);
    let changed = json!({"algorithm": "m.megolm_backup.v1", "auth_data": 7});
    put(&user, "room_keys/version/1", &changed).await.ok();
    assert_eq!(get(&user, "room_keys/version/1").await.ok()["auth_data"], 7);
    delete(&user, "room_keys/version/2").await.ok();
    get(&user, "room_keys/version/2").await.expect_error(404, "M_NOT_FOUND");
    assert_eq!(get(&user, "room_keys/version").await.ok()["version"], "1");
    let newest = post(&user, "room_keys/version", &version).await.ok();
    assert_eq!(newest["version"], "3", "a number is not given again");
}

#[test]
fn no_message_is_lost_or_told_twice_when_the_one_process_is_killed() {
    ALL_IN_ONE.run(async |cluster| {
        exchange(&cluster, async |round| {
            if round > 0 {
                cluster.restart("plexus").await;
            }
        })
        .await;
    });
}

#[test]
fn no_message_is_lost_or_told_twice_when_master_and_sync_are_killed() {
    SPLIT.run(async |cluster| {
        exchange(&cluster, async |round| match round {
            0 => {}
            1 => {
                let leader = cluster.leader().await;
                cluster.restart(&leader).await;
            }
            _ => {
                cluster.restart("sync1").await;
                cluster.restart("sync2").await;
            }
        })
        .await;
        cluster.until_ready().await;
    });
}

/// One sends, one receives, and a third of the way each time something happens.
async fn exchange(cluster: &Cluster, trouble: impl AsyncFn(usize)) {
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let listener = bob.clone();
    let receiving = async {
        let mut since: Option<String> = None;
        let mut received: Vec<i64> = Vec::new();
        while received.len() < MESSAGES {
            let told = eventually(4 * PATIENCE, "an answer", async || {
                match listener.try_sync(since.as_deref(), 1_000, "").await {
                    Ok(answer) if answer.status == 200 => Ok(answer.ok()),
                    Ok(answer) => Err(answer.text()),
                    Err(NoAnswer(why)) => Err(why),
                }
            })
            .await;
            received.extend(to_device(&told));
            since = told["next_batch"].as_str().map(str::to_owned);
        }
        received
    };
    let sending = async {
        for third in 0..3 {
            let sending = async {
                for n in third * MESSAGES / 3..(third + 1) * MESSAGES / 3 {
                    send_stubbornly(&alice, &bob, n).await;
                }
            };
            tokio::join!(sending, trouble(third));
        }
    };
    let (received, ()) = tokio::join!(receiving, sending);
    let sent: Vec<i64> = (0..).take(MESSAGES).collect();
    assert_eq!(received, sent);
}

async fn send_stubbornly(sender: &User, receiver: &User, n: usize) {
    let target = format!("{CLIENT}/sendToDevice/m.test/{}", fresh_name("txn"));
    let body = json!({"messages": {receiver.id.clone(): {receiver.device.clone(): {"n": n}}}});
    eventually(4 * PATIENCE, "a message to be taken", async || {
        match sender.http.try_send(Method::PUT, &target, body.to_string()).await {
            Ok(answer) if answer.is_retryable() => Err(answer.text()),
            Ok(answer) => Ok(answer.ok()),
            Err(NoAnswer(why)) => Err(why),
        }
    })
    .await;
}
