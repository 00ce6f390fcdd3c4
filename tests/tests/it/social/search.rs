//! What was said is found.

use std::sync::Arc;

use plexus_tests::{Cluster, User, encode, fresh_name};
use serde_json::{Value, json};

use super::SEARCH;

async fn search(user: &User, next_batch: Option<&str>, room_events: &Value) -> Value {
    let target = next_batch.map_or(SEARCH.to_owned(), |token| {
        format!("{SEARCH}?next_batch={}", encode(token))
    });
    let body = json!({"search_categories": {"room_events": room_events}});
    user.http.post(&target, &body).await.ok()["search_categories"]["room_events"].clone()
}

fn found(answer: &Value) -> Vec<&str> {
    let results = answer["results"].as_array().expect("results");
    results
        .iter()
        .map(|result| result["result"]["event_id"].as_str().expect("an event id"))
        .collect()
}

/// A search for a word, newest first, and what more is asked.
fn newest(word: &str, more: &Value) -> Value {
    let mut body = json!({"search_term": word, "keys": ["content.body"], "order_by": "recent"});
    body.as_object_mut()
        .expect("an object")
        .extend(more.as_object().expect("an object").clone());
    body
}

pub(super) async fn messages_are_found(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let word = fresh_name("ananas").replace('-', "");
    let room = alice
        .create_room(&json!({"preset": "public_chat", "name": format!("All about {word}")}))
        .await;
    let other = alice.create_public_room().await;
    bob.join(&room).await;
    let first = alice.say(&room, &format!("The first {word}!")).await;
    let second = bob.say(&room, &format!("{} {word} {word}", word.to_uppercase())).await;
    let third = alice.say(&other, &format!("{word} \u{0} \u{1f34d} elsewhere")).await;
    for number in 0..3 {
        alice.say(&room, &format!("after, {number}")).await;
    }
    // Found at once, whoever indexes; newest first.
    let answer = search(&alice, None, &newest(&word, &json!({}))).await;
    assert_eq!(found(&answer), [&third, &second, &first], "{answer}");
    assert_eq!(
        (&answer["count"], &answer["highlights"]),
        (&json!(3), &json!([word])),
        "{answer}"
    );
    assert!(answer.get("next_batch").is_none(), "{answer}");
    let answer = search(&bob, None, &newest(&word, &json!({}))).await;
    assert_eq!(found(&answer), [&second, &first], "only his rooms: {answer}");
    let named = search(&alice, None, &json!({"search_term": word, "keys": ["content.name"]})).await;
    assert_eq!(named["results"][0]["result"]["type"], "m.room.name", "{named}");
    let best = search(&alice, None, &json!({"search_term": word, "keys": ["content.body"]})).await;
    assert_eq!(best["results"][0]["result"]["event_id"], json!(second), "{best}");
    assert!(
        best["results"][0]["rank"].as_f64() > best["results"][2]["rank"].as_f64(),
        "{best}"
    );
    one_is_found_at_a_time(&alice, &word, &other, [&first, &second, &third]).await;
    what_was_around_comes_with_it([&alice, &bob], &word, &room, [&first, &second]).await;
}

/// One at a time, each of its group.
async fn one_is_found_at_a_time(alice: &User, word: &str, other: &str, [first, second, third]: [&str; 3]) {
    let one = newest(
        word,
        &json!({"filter": {"limit": 1}, "groupings": {"group_by": [{"key": "room_id"}, {"key": "sender"}]}}),
    );
    let answer = search(alice, None, &one).await;
    assert_eq!(found(&answer), [third]);
    assert_eq!(
        answer["groups"]["room_id"][other]["results"],
        json!([third]),
        "{answer}"
    );
    let of_alice = answer["groups"]["sender"][&alice.id]["next_batch"]
        .as_str()
        .expect("a token");
    assert_eq!(found(&search(alice, Some(of_alice), &one).await), [first]);
    let next = answer["next_batch"].as_str().expect("a token");
    let answer = search(alice, Some(next), &one).await;
    assert_eq!(found(&answer), [second]);
    let last = search(alice, answer["next_batch"].as_str(), &one).await;
    assert_eq!(found(&last), [first]);
    assert!(last.get("next_batch").is_none(), "{last}");
}

/// With what was around it, and the state.
async fn what_was_around_comes_with_it([alice, bob]: [&User; 2], word: &str, room: &str, [first, second]: [&str; 2]) {
    let around = newest(
        word,
        &json!({
            "filter": {"rooms": [room], "senders": [bob.id]},
            "event_context": {"before_limit": 1, "after_limit": 2, "include_profile": true},
            "include_state": true,
        }),
    );
    let answer = search(alice, None, &around).await;
    assert_eq!(found(&answer), [second], "{answer}");
    let context = &answer["results"][0]["context"];
    assert_eq!(context["events_before"][0]["event_id"], json!(first), "{context}");
    assert_eq!(context["events_after"].as_array().map(Vec::len), Some(2), "{context}");
    assert!(context["profile_info"][&bob.id]["displayname"].is_string(), "{context}");
    let state = answer["state"][room].as_array().expect("the state");
    assert!(state.iter().any(|event| event["type"] == "m.room.create"), "{answer}");
    let from = format!("&from={}", encode(context["start"].as_str().expect("a token")));
    let page = alice.messages(room, "b", &from).await.ok();
    assert_ne!(
        page["chunk"][0]["event_id"],
        json!(first),
        "the page goes on before the context: {page}"
    );
}

pub(super) async fn what_was_redacted_left_or_never_seen_is_not_found(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let word = fresh_name("mango").replace('-', "");
    let body = json!({"search_term": word, "order_by": "recent"});
    let room = alice
        .create_room(&json!({
            "preset": "public_chat",
            "initial_state": [{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}],
        }))
        .await;
    alice.say(&room, &format!("{word} before he came")).await;
    bob.join(&room).await;
    let seen = alice.say(&room, &format!("{word} while he was there")).await;
    bob.act(&room, "leave", &json!({})).await.ok();
    alice.say(&room, &format!("{word} after he left")).await;
    assert_eq!(found(&search(&bob, None, &body).await), [&seen]);
    assert_eq!(found(&search(&alice, None, &body).await).len(), 3);
    let redact = format!("/_matrix/client/v3/rooms/{}/redact/{}/x", encode(&room), encode(&seen));
    alice.http.put(&redact, &json!({})).await.ok();
    assert_eq!(found(&search(&bob, None, &body).await), [""; 0]);
    assert_eq!(found(&search(&alice, None, &body).await).len(), 2);
    let nothing = search(&alice, None, &json!({"search_term": "?!"})).await;
    assert_eq!((found(&nothing).len(), &nothing["count"]), (0, &json!(0)));
    alice
        .http
        .post(SEARCH, &json!({}))
        .await
        .expect_error(400, "M_MISSING_PARAM");
    let no_order = json!({"search_categories": {"room_events": {"search_term": word, "order_by": "luck"}}});
    alice
        .http
        .post(SEARCH, &no_order)
        .await
        .expect_error(400, "M_INVALID_PARAM");
}
