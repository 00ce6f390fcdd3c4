//! Invites and knocks between servers: with another Plexus and with Synapse on the other side.

use std::sync::Arc;

use plexus_tests::{Answer, Cluster, PATIENCE, User, encode, eventually};
use serde_json::{Value, json};

use super::joining::{Side, both_ways, join_via, membership, pairs, synapse, sync_anew, until_same_state};

crate::federated_scenarios! {
    an_invite_is_seen_and_accepted,
    an_invite_is_refused_and_comes_again,
    an_invite_is_taken_back,
    whoever_is_invited_with_the_room_is_invited,
    a_knock_is_answered_or_taken_back,
    who_is_not_there_is_not_invited,
}

/// What the newest sync says of a room in a section: `invite`, `knock`, `join`, `leave`.
async fn section(user: &User, name: &str, room: &str) -> Value {
    let sync = sync_anew(user).await;
    sync["rooms"][name][room].clone()
}

/// Waits until a sync tells of a room in a section.
pub(super) async fn until_told(user: &User, name: &str, room: &str) -> Value {
    let what = format!("{} to be told of {room} as {name}", user.id);
    let told = eventually(PATIENCE, &what, async || {
        let told = section(user, name, room).await;
        if told.is_null() {
            Err("nothing".to_owned())
        } else {
            Ok(told)
        }
    })
    .await;
    user.http.settled().await;
    told
}

/// Waits until a sync tells nothing of a room in a section.
async fn until_gone(user: &User, name: &str, room: &str) {
    let what = format!("{room} to be gone for {} as {name}", user.id);
    eventually(PATIENCE, &what, async || {
        let told = section(user, name, room).await;
        if told.is_null() { Ok(()) } else { Err(told.to_string()) }
    })
    .await;
}

/// Waits until somebody is something to a room by another's eyes.
pub(super) async fn until_member(seeing: &User, room: &str, user: &User, wanted: &str) {
    let what = format!("{} to be seen as {wanted}", user.id);
    eventually(PATIENCE, &what, async || {
        let seen = membership(seeing, room, &user.id).await;
        if seen == wanted { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
}

fn has_event(events: &Value, kind: &str) -> bool {
    let events = events.as_array().expect("events");
    events.iter().any(|event| event["type"] == kind)
}

async fn people(resident: &Side, other: &Side) -> (User, User) {
    let alice = User::register(&resident.http, "alice").await;
    let bob = User::register(&other.http, "bob").await;
    (alice, bob)
}

async fn an_invite_is_seen_and_accepted(cluster: Arc<Cluster>) {
    for (resident, other) in both_ways(&cluster).await {
        for version in ["1", "3", "6", "11", "12"] {
            let (alice, bob) = people(&resident, &other).await;
            let create = json!({"preset": "private_chat", "room_version": version, "name": "The room"});
            let room = alice.create_room(&create).await;
            alice.invite(&room, &bob).await;
            assert_eq!(membership(&alice, &room, &bob.id).await, "invite", "version {version}");
            let told = until_told(&bob, "invite", &room).await;
            let events = &told["invite_state"]["events"];
            assert!(
                has_event(events, "m.room.name"),
                "version {version} of {}: {events}",
                resident.name
            );
            assert!(has_event(events, "m.room.member"), "version {version}: {events}");
            // By the room alone: who invited says where it is.
            bob.join(&room).await;
            until_told(&bob, "join", &room).await;
            until_gone(&bob, "invite", &room).await;
            until_same_state(&alice, &bob, &room).await;
            // Somebody else of the same server is invited while it is in the room.
            let carol = User::register(&other.http, "carol").await;
            alice.invite(&room, &carol).await;
            until_told(&carol, "invite", &room).await;
            carol.join(&room).await;
            until_told(&carol, "join", &room).await;
            until_member(&alice, &room, &carol, "join").await;
        }
    }
}

async fn an_invite_is_refused_and_comes_again(cluster: Arc<Cluster>) {
    for (resident, other) in both_ways(&cluster).await {
        let (alice, bob) = people(&resident, &other).await;
        let room = alice.create_room(&json!({"preset": "private_chat"})).await;
        for _ in 0..2 {
            alice.invite(&room, &bob).await;
            until_told(&bob, "invite", &room).await;
            bob.act(&room, "leave", &json!({})).await.ok();
            until_gone(&bob, "invite", &room).await;
            until_member(&alice, &room, &bob, "leave").await;
        }
        bob.act(&room, "forget", &json!({})).await.ok();
        alice.invite(&room, &bob).await;
        until_told(&bob, "invite", &room).await;
        bob.join(&room).await;
        until_same_state(&alice, &bob, &room).await;
    }
}

async fn an_invite_is_taken_back(cluster: Arc<Cluster>) {
    for (resident, other) in both_ways(&cluster).await {
        let (alice, bob) = people(&resident, &other).await;
        let room = alice.create_room(&json!({"preset": "private_chat"})).await;
        alice.invite(&room, &bob).await;
        until_told(&bob, "invite", &room).await;
        alice.act(&room, "kick", &json!({"user_id": bob.id})).await.ok();
        until_gone(&bob, "invite", &room).await;
        let refused = bob.act(&room, "join", &json!({})).await;
        // Synapse does not know any more which server it was.
        assert!(matches!(refused.status, 403 | 404), "{}", refused.text());
    }
}

async fn whoever_is_invited_with_the_room_is_invited(cluster: Arc<Cluster>) {
    for (resident, other) in both_ways(&cluster).await {
        let (alice, bob) = people(&resident, &other).await;
        let create = json!({"preset": "trusted_private_chat", "is_direct": true, "invite": [bob.id]});
        let room = alice.create_room(&create).await;
        let told = until_told(&bob, "invite", &room).await;
        let events = told["invite_state"]["events"].as_array().expect("events");
        let member = events.iter().find(|event| event["state_key"] == bob.id.as_str());
        assert_eq!(member.expect("his own")["content"]["is_direct"], true);
        bob.join(&room).await;
        until_same_state(&alice, &bob, &room).await;
    }
}

async fn knock(user: &User, room: &str, server: &str) -> Answer {
    let server = encode(server);
    let target = format!(
        "/_matrix/client/v3/knock/{}?via={server}&server_name={server}",
        encode(room)
    );
    user.http.post(&target, &json!({"reason": "let me in"})).await
}

async fn a_knock_is_answered_or_taken_back(cluster: Arc<Cluster>) {
    for (resident, other) in both_ways(&cluster).await {
        let (alice, bob) = people(&resident, &other).await;
        let create = json!({
            "preset": "private_chat", "name": "The room", "room_version": "10",
            "initial_state": [{"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}],
        });
        let room = alice.create_room(&create).await;
        let refused = join_via(&bob, &room, &resident.name).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
        knock(&bob, &room, &resident.name).await.ok();
        let told = until_told(&bob, "knock", &room).await;
        assert!(has_event(&told["knock_state"]["events"], "m.room.name"), "{told}");
        until_member(&alice, &room, &bob, "knock").await;
        // Taken back.
        bob.act(&room, "leave", &json!({})).await.ok();
        until_gone(&bob, "knock", &room).await;
        // Synapse tells nobody.
        if other.name != synapse().await.name {
            until_member(&alice, &room, &bob, "leave").await;
        }
        // Once more, and answered.
        knock(&bob, &room, &resident.name).await.ok();
        until_member(&alice, &room, &bob, "knock").await;
        alice.invite(&room, &bob).await;
        until_told(&bob, "invite", &room).await;
        bob.join(&room).await;
        until_same_state(&alice, &bob, &room).await;
    }
}

async fn who_is_not_there_is_not_invited(cluster: Arc<Cluster>) {
    for (here, there) in pairs(&cluster).await {
        let alice = User::register(&there.http, "alice").await;
        let room = alice.create_room(&json!({"preset": "private_chat"})).await;
        let nobody = format!("@nobody:{}", here.name);
        let refused = alice.act(&room, "invite", &json!({"user_id": nobody})).await;
        assert!(refused.status >= 400, "{}", refused.text());
        assert_eq!(membership(&alice, &room, &nobody).await, Value::Null);
    }
}
