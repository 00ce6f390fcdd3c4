//! What is said and done in a room.

use std::sync::Arc;

use plexus_tests::{Cluster, PATIENCE, User, encode, eventually, fresh_name};
use serde_json::{Value, json};

use super::{
    super::joining::{join_via, until_same_state},
    both_ways, events, place, set_state, state_content, together, until_heard, until_membership, until_told,
};

crate::federated_scenarios! {
    messages_go_both_ways,
    a_redaction_takes_the_content_on_both_sides,
    who_is_banned_is_out_on_both_sides,
    history_is_paged_to_the_first_event,
    typing_and_receipts_are_seen,
    presence_is_seen,
    a_server_that_is_not_let_in_says_nothing,
    an_upgraded_room_is_followed,
}

async fn messages_go_both_ways(cluster: Arc<Cluster>) {
    for sides in both_ways(&cluster).await {
        let (alice, bob, room) = together(&sides).await;
        alice.say(&room, "from alice").await;
        bob.say(&room, "from bob").await;
        for user in [&alice, &bob] {
            until_heard(user, &room, &["from alice", "from bob"]).await;
        }
        set_state(&alice, &room, ("m.room.topic", ""), &json!({"topic": "weather"}))
            .await
            .ok();
        until_same_state(&alice, &bob, &room).await;
        assert_eq!(state_content(&bob, &room, "m.room.topic").await["topic"], "weather");
    }
}

async fn a_redaction_takes_the_content_on_both_sides(cluster: Arc<Cluster>) {
    for sides in both_ways(&cluster).await {
        let (alice, bob, room) = together(&sides).await;
        let said = bob.say(&room, "a slip").await;
        until_heard(&alice, &room, &["a slip"]).await;
        // By whoever has the power, and not only by whoever said it.
        let target = format!(
            "/_matrix/client/v3/rooms/{}/redact/{}/{}",
            encode(&room),
            encode(&said),
            fresh_name("txn")
        );
        alice.http.put(&target, &json!({"reason": "a slip"})).await.ok();
        for user in [&alice, &bob] {
            let target = format!("/_matrix/client/v3/rooms/{}/event/{}", encode(&room), encode(&said));
            eventually(PATIENCE, "the event to be redacted", async || {
                let event = user.http.get(&target).await.ok();
                let is_redacted = event["content"] == json!({}) && event["unsigned"]["redacted_because"].is_object();
                if is_redacted { Ok(()) } else { Err(event.to_string()) }
            })
            .await;
        }
    }
}

async fn who_is_banned_is_out_on_both_sides(cluster: Arc<Cluster>) {
    for sides in both_ways(&cluster).await {
        let (alice, bob, room) = together(&sides).await;
        let ban = json!({"user_id": bob.id, "reason": "no"});
        alice.act(&room, "ban", &ban).await.ok();
        let with_left = format!("&filter={}", encode(r#"{"room":{"include_leave":true}}"#));
        eventually(PATIENCE, "bob to be out", async || {
            let sync = bob.sync(None, 0, &with_left).await.ok();
            let is_out = sync["rooms"]["leave"][&room].is_object();
            if is_out { Ok(()) } else { Err(sync.to_string()) }
        })
        .await;
        assert_ne!(join_via(&bob, &room, &sides[0].name).await.status, 200);
        alice.act(&room, "unban", &json!({"user_id": bob.id})).await.ok();
        until_membership(&alice, &room, &bob.id, "leave").await;
        eventually(PATIENCE, "bob to come in again", async || {
            let answer = join_via(&bob, &room, &sides[0].name).await;
            if answer.status == 200 {
                Ok(())
            } else {
                Err(answer.text())
            }
        })
        .await;
        until_same_state(&alice, &bob, &room).await;
    }
}

async fn history_is_paged_to_the_first_event(cluster: Arc<Cluster>) {
    for sides in both_ways(&cluster).await {
        let alice = User::register(&sides[0].http, "alice").await;
        let bob = User::register(&sides[1].http, "bob").await;
        let room = alice.create_public_room().await;
        let texts: Vec<String> = (0..60).map(|n| format!("message {n}")).collect();
        for text in &texts {
            alice.say(&room, text).await;
        }
        join_via(&bob, &room, &sides[0].name).await.ok();
        let (mut bodies, mut kinds, mut from) = (Vec::new(), Vec::new(), String::new());
        for _ in 0..40 {
            let page = bob.messages(&room, "b", &format!("&limit=20{from}")).await.ok();
            for event in page["chunk"].as_array().expect("a list") {
                kinds.push(event["type"].as_str().unwrap_or_default().to_owned());
                bodies.extend(event["content"]["body"].as_str().map(str::to_owned));
            }
            match page["end"].as_str() {
                Some(end) => from = format!("&from={}", encode(end)),
                None => break,
            }
        }
        bodies.reverse();
        assert_eq!(bodies, texts, "{kinds:?}");
        assert_eq!(kinds.last().map(String::as_str), Some("m.room.create"));
    }
}

async fn typing_and_receipts_are_seen(cluster: Arc<Cluster>) {
    for sides in both_ways(&cluster).await {
        let (alice, bob, room) = together(&sides).await;
        let said = alice.say(&room, "read this").await;
        until_heard(&bob, &room, &["read this"]).await;
        let since = place(&alice).await;
        let typing = format!("/_matrix/client/v3/rooms/{}/typing/{}", encode(&room), encode(&bob.id));
        bob.http
            .put(&typing, &json!({"typing": true, "timeout": 20_000}))
            .await
            .ok();
        let read = format!(
            "/_matrix/client/v3/rooms/{}/receipt/m.read/{}",
            encode(&room),
            encode(&said)
        );
        bob.http.post(&read, &json!({})).await.ok();
        until_told(&alice, "bob to type", &since, |sync| {
            let mut ephemeral = events(&sync["rooms"]["join"][&room], "ephemeral");
            let is_typing =
                |event: &Value| event["type"] == "m.typing" && event["content"]["user_ids"] == json!([bob.id]);
            ephemeral.any(is_typing).then_some(())
        })
        .await;
        until_told(&alice, "bob to have read it", &since, |sync| {
            let mut ephemeral = events(&sync["rooms"]["join"][&room], "ephemeral");
            let has_read = |event: &Value| event["content"][&said]["m.read"][&bob.id].is_object();
            ephemeral.any(has_read).then_some(())
        })
        .await;
    }
}

async fn presence_is_seen(cluster: Arc<Cluster>) {
    for sides in both_ways(&cluster).await {
        let (alice, bob, room) = together(&sides).await;
        let since = place(&alice).await;
        bob.say(&room, "here I am").await;
        let status = format!("/_matrix/client/v3/presence/{}/status", encode(&bob.id));
        let online = json!({"presence": "online", "status_msg": "at work"});
        bob.http.put(&status, &online).await.ok();
        until_told(&alice, "bob to be at work", &since, |sync| {
            let mut presence = events(sync, "presence");
            let is_bob =
                |event: &Value| event["sender"] == bob.id.as_str() && event["content"]["status_msg"] == "at work";
            presence.any(is_bob).then_some(())
        })
        .await;
    }
}

async fn a_server_that_is_not_let_in_says_nothing(cluster: Arc<Cluster>) {
    for sides in both_ways(&cluster).await {
        let (alice, bob, room) = together(&sides).await;
        let host = sides[1].name.split(':').next().expect("a host");
        let acl = json!({"allow": ["*"], "deny": [host], "allow_ip_literals": true});
        set_state(&alice, &room, ("m.room.server_acl", ""), &acl).await.ok();
        until_same_state(&alice, &bob, &room).await;
        bob.say(&room, "unheard").await;
        // In another room everything that bob says after it arrives, and so that would have.
        let carol = User::register(&sides[0].http, "carol").await;
        let open = carol.create_public_room().await;
        join_via(&bob, &open, &sides[0].name).await.ok();
        bob.say(&open, "heard").await;
        until_heard(&carol, &open, &["heard"]).await;
        let page = alice.messages(&room, "b", "&limit=50").await.ok();
        assert!(!page.to_string().contains("unheard"), "{page}");
    }
}

async fn an_upgraded_room_is_followed(cluster: Arc<Cluster>) {
    for sides in both_ways(&cluster).await {
        let (alice, bob, room) = together(&sides).await;
        let target = format!("/_matrix/client/v3/rooms/{}/upgrade", encode(&room));
        let upgraded = alice.http.post(&target, &json!({"new_version": "11"})).await.ok();
        let replacement = upgraded["replacement_room"].as_str().expect("a room").to_owned();
        eventually(PATIENCE, "the tombstone", async || {
            match state_content(&bob, &room, "m.room.tombstone").await {
                tombstone if tombstone["replacement_room"] == replacement.as_str() => Ok(()),
                other => Err(other.to_string()),
            }
        })
        .await;
        join_via(&bob, &replacement, &sides[0].name).await.ok();
        until_same_state(&alice, &bob, &replacement).await;
    }
}
