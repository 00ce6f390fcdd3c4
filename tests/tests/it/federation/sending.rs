//! What users of two servers say to each other arrives at the other server: messages, and everything that is not part of a room's history.

use std::sync::Arc;

use plexus_tests::{Cluster, PATIENCE, User, encode, eventually, fresh_name};
use serde_json::{Value, json};

use super::joining::{Side, both_ways, join_via, membership, until_same_state};

crate::federated_scenarios! {
    what_is_said_arrives_on_both_sides,
    what_passes_arrives_on_both_sides,
    messages_to_devices_arrive_once,
    who_is_put_out_sees_that,
}

/// Alice, and Bob of the other server, in a room of hers.
async fn meet(here: &Side, there: &Side) -> (User, User, String) {
    let alice = User::register(&here.http, "alice").await;
    let bob = User::register(&there.http, "bob").await;
    let room = alice.create_public_room().await;
    join_via(&bob, &room, &here.name).await.ok();
    until_same_state(&alice, &bob, &room).await;
    (alice, bob, room)
}

/// Waits until just this has been said in a room, in this order.
async fn until_said(user: &User, room: &str, texts: &[String]) {
    eventually(PATIENCE, &format!("{} to read {texts:?}", user.id), async || {
        let page = user.messages(room, "b", "&limit=50").await.ok();
        let events = page["chunk"].as_array().cloned().unwrap_or_default();
        let bodies = events
            .iter()
            .rev()
            .filter_map(|event| event["content"]["body"].as_str());
        let said: Vec<&str> = bodies.collect();
        if said == texts {
            Ok(())
        } else {
            Err(format!("{said:?}"))
        }
    })
    .await;
}

/// Syncs until something is there.
async fn until_synced(user: &User, what: &str, find: impl Fn(&Value) -> bool) {
    eventually(PATIENCE, what, async || {
        let answer = user.sync(None, 0, "").await.ok();
        if find(&answer) { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
}

/// The EDUs of one type in a room of a sync.
fn ephemeral<'a>(sync: &'a Value, room: &str, kind: &str) -> impl Iterator<Item = &'a Value> {
    let events = sync["rooms"]["join"][room]["ephemeral"]["events"].as_array();
    let kind = kind.to_owned();
    events.into_iter().flatten().filter(move |event| event["type"] == *kind)
}

async fn what_is_said_arrives_on_both_sides(cluster: Arc<Cluster>) {
    for (here, there) in both_ways(&cluster).await {
        let (alice, bob, room) = meet(&here, &there).await;
        let mut texts = Vec::new();
        for round in 0..4 {
            for (user, name) in [(&alice, "alice"), (&bob, "bob")] {
                let text = format!("{name} {round}");
                user.say(&room, &text).await;
                texts.push(text);
                // Each waits for the other, so that there is one order.
                for reader in [&alice, &bob] {
                    until_said(reader, &room, &texts).await;
                }
            }
        }
    }
}

async fn what_passes_arrives_on_both_sides(cluster: Arc<Cluster>) {
    for (here, there) in both_ways(&cluster).await {
        let (alice, bob, room) = meet(&here, &there).await;
        let event = alice.say(&room, "read this").await;
        until_said(&bob, &room, &["read this".to_owned()]).await;
        bob.act(&room, &format!("receipt/m.read/{}", encode(&event)), &json!({}))
            .await
            .ok();
        until_synced(&alice, "his receipt", |sync| {
            ephemeral(sync, &room, "m.receipt").any(|receipt| receipt["content"][&event]["m.read"][&bob.id].is_object())
        })
        .await;
        let typing = format!("/_matrix/client/v3/rooms/{}/typing/{}", encode(&room), encode(&bob.id));
        bob.http
            .put(&typing, &json!({"typing": true, "timeout": 30_000}))
            .await
            .ok();
        until_synced(&alice, "him to type", |sync| {
            ephemeral(sync, &room, "m.typing").any(|typing| typing["content"]["user_ids"] == json!([bob.id]))
        })
        .await;
        let status = format!("/_matrix/client/v3/presence/{}/status", encode(&bob.id));
        let body = json!({"presence": "online", "status_msg": "in the garden"});
        bob.http.put(&status, &body).await.ok();
        let asked = format!("/_matrix/client/v3/presence/{}/status", encode(&bob.id));
        eventually(PATIENCE, "his presence", async || {
            let answer = alice.http.get(&asked).await;
            let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            (told["status_msg"] == "in the garden")
                .then_some(())
                .ok_or_else(|| answer.text())
        })
        .await;
    }
}

async fn messages_to_devices_arrive_once(cluster: Arc<Cluster>) {
    for (here, there) in both_ways(&cluster).await {
        let (alice, bob, _) = meet(&here, &there).await;
        for number in 0..5 {
            let target = format!("/_matrix/client/v3/sendToDevice/m.test/{}", fresh_name("txn"));
            let body = json!({"messages": {(bob.id.as_str()): {"*": {"number": number}}}});
            alice.http.put(&target, &body).await.ok();
        }
        let (mut since, mut numbers) = (None, Vec::new());
        while numbers.last() != Some(&json!(4)) {
            let sync = bob.sync(since.as_deref(), 10_000, "").await.ok();
            since = sync["next_batch"].as_str().map(str::to_owned);
            let events = sync["to_device"]["events"].as_array().cloned().unwrap_or_default();
            let own = events.iter().filter(|event| event["sender"] == *alice.id);
            numbers.extend(own.map(|event| event["content"]["number"].clone()));
        }
        assert_eq!(
            json!(numbers),
            json!([0, 1, 2, 3, 4]),
            "{} to {}",
            here.name,
            there.name
        );
    }
}

async fn who_is_put_out_sees_that(cluster: Arc<Cluster>) {
    for (here, there) in both_ways(&cluster).await {
        let (alice, bob, room) = meet(&here, &there).await;
        alice.act(&room, "kick", &json!({"user_id": bob.id})).await.ok();
        eventually(PATIENCE, "him to be out", async || {
            // A room whose members are still on their way is in no sync of his, so that says nothing.
            let told = membership(&bob, &room, &bob.id).await;
            (told == "leave").then_some(()).ok_or_else(|| told.to_string())
        })
        .await;
        join_via(&bob, &room, &here.name).await.ok();
        assert_eq!(membership(&alice, &room, &bob.id).await, "join");
    }
}
