//! People: who is there, finding them and what they said, saying that something is wrong.

mod presence;
mod search;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use plexus_tests::{Cluster, PATIENCE, User, encode, eventually, fresh_name};
use serde_json::{Value, json};

use self::{
    presence::those_who_share_a_room_see_who_is_there,
    search::{messages_are_found, what_was_redacted_left_or_never_seen_is_not_found},
};

super::scenarios! {
    those_who_share_a_room_see_who_is_there,
    people_are_found_by_name,
    messages_are_found,
    what_was_redacted_left_or_never_seen_is_not_found,
    something_wrong_is_reported,
    shared_rooms_are_listed,
    hostile_19_one_busy_account_leaves_others_their_share,
}

async fn people_are_found_by_name(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let searcher = User::register(&http, "searcher").await;
    let word = fresh_name("Žofie").replace('-', "");
    set_name(&alice, &format!("{word} Nováková")).await;
    set_name(&bob, &format!("{word} Dvořák")).await;
    let private = alice.create_room(&json!({"preset": "private_chat"})).await;
    alice.invite(&private, &bob).await;
    bob.join(&private).await;
    until_found(&searcher, &word, &[]).await;
    until_found(&alice, &word, &[&bob]).await;
    // Without accents, in any case, only the beginnings of words.
    let plain = word.replace('Ž', "z");
    until_found(&bob, &format!("NOVAK {plain}"), &[&alice]).await;
    until_found(&bob, "ovakova", &[]).await;
    until_found(&bob, &alice.id, &[&alice]).await;
    // A room that anybody may join shows who is in it, and a room that anybody may read.
    let rules = |rule: &str| json!({"join_rule": rule});
    set_state(&alice, &private, "m.room.join_rules", &rules("public")).await;
    until_found(&searcher, &word, &[&alice, &bob]).await;
    set_state(
        &alice,
        &private,
        "m.room.history_visibility",
        &json!({"history_visibility": "world_readable"}),
    )
    .await;
    set_state(&alice, &private, "m.room.join_rules", &rules("invite")).await;
    until_found(&searcher, &word, &[&alice, &bob]).await;
    set_state(
        &alice,
        &private,
        "m.room.history_visibility",
        &json!({"history_visibility": "shared"}),
    )
    .await;
    until_found(&searcher, &word, &[]).await;
    // Leaving, and another name.
    let public = bob.create_public_room().await;
    until_found(&searcher, &word, &[&bob]).await;
    let other = fresh_name("Quirin").replace('-', "");
    set_name(&bob, &other).await;
    until_found(&searcher, &other, &[&bob]).await;
    until_found(&searcher, &word, &[]).await;
    bob.act(&public, "leave", &json!({})).await.ok();
    until_found(&searcher, &other, &[]).await;
    let limited = json!({"search_term": "a", "limit": 0});
    let answer = searcher.http.post(DIRECTORY, &limited).await.ok();
    assert!(
        answer["results"].as_array().is_some_and(|results| results.len() <= 1),
        "{answer}"
    );
    searcher
        .http
        .post(DIRECTORY, &json!({}))
        .await
        .expect_error(400, "M_MISSING_PARAM");
}

const DIRECTORY: &str = "/_matrix/client/v3/user_directory/search";

async fn set_name(user: &User, name: &str) {
    let target = format!("/_matrix/client/v3/profile/{}/displayname", encode(&user.id));
    user.http.put(&target, &json!({"displayname": name})).await.ok();
}

async fn set_state(user: &User, room: &str, kind: &str, content: &Value) {
    let target = format!("/_matrix/client/v3/rooms/{}/state/{kind}/", encode(room));
    user.http.put(&target, content).await.ok();
}

/// Searches until exactly these are found, in this order: what has just changed may not be known to every process yet.
async fn until_found(user: &User, term: &str, wanted: &[&User]) {
    let wanted: Vec<&str> = wanted.iter().map(|user| user.id.as_str()).collect();
    eventually(PATIENCE, &format!("{term:?} to find {wanted:?}"), async || {
        let answer = user.http.post(DIRECTORY, &json!({"search_term": term})).await.ok();
        let results = answer["results"].as_array().expect("results").clone();
        let found: Vec<&str> = results.iter().filter_map(|result| result["user_id"].as_str()).collect();
        if found == wanted {
            assert_eq!(answer["limited"], false);
            Ok(())
        } else {
            Err(answer.to_string())
        }
    })
    .await;
}

const SEARCH: &str = "/_matrix/client/v3/search";

async fn something_wrong_is_reported(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let room = alice.create_public_room().await;
    let said = alice.say(&room, "something bad").await;
    let event = |event: &str| format!("/_matrix/client/v3/rooms/{}/report/{}", encode(&room), encode(event));
    let reason = json!({"reason": "it is bad", "score": -100});
    bob.http
        .post(&event(&said), &reason)
        .await
        .expect_error(404, "M_NOT_FOUND");
    bob.join(&room).await;
    bob.http.post(&event(&said), &reason).await.ok();
    bob.http.post(&event(&said), &json!({})).await.ok();
    bob.http
        .post(&event("$nothing"), &reason)
        .await
        .expect_error(404, "M_NOT_FOUND");
    let score = json!({"score": "very bad"});
    bob.http
        .post(&event(&said), &score)
        .await
        .expect_error(400, "M_BAD_JSON");
    let stranger = User::register(&http, "stranger").await;
    let target = format!("/_matrix/client/v3/rooms/{}/report", encode(&room));
    stranger.http.post(&target, &json!({"reason": ""})).await.ok();
    let target = format!("/_matrix/client/v3/users/{}/report", encode(&alice.id));
    stranger.http.post(&target, &json!({"reason": "rude"})).await.ok();
    let long = json!({"reason": "x".repeat(20_000)});
    stranger
        .http
        .post(&target, &long)
        .await
        .expect_error(413, "M_TOO_LARGE");
    for nothing in ["rooms/!nothing:localhost", "users/@nobody:localhost"] {
        let target = format!("/_matrix/client/v3/{nothing}/report");
        stranger
            .http
            .post(&target, &json!({"reason": ""}))
            .await
            .expect_error(404, "M_NOT_FOUND");
    }
}

async fn shared_rooms_are_listed(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let mut shared = Vec::new();
    for _ in 0..2 {
        let room = alice.create_public_room().await;
        bob.join(&room).await;
        shared.push(room);
    }
    shared.sort();
    alice.create_public_room().await;
    let left = alice.create_public_room().await;
    bob.join(&left).await;
    bob.act(&left, "leave", &json!({})).await.ok();
    for path in ["v1/mutual_rooms", "unstable/uk.half-shot.msc2666/user/mutual_rooms"] {
        let with = |user: &str| format!("/_matrix/client/{path}?user_id={}", encode(user));
        let answer = alice.http.get(&with(&bob.id)).await.ok();
        assert_eq!(answer, json!({"joined": shared, "count": 2}));
        let from = format!("{}&from={}", with(&bob.id), encode(&shared[0]));
        assert_eq!(
            alice.http.get(&from).await.ok(),
            json!({"joined": [shared[1]], "count": 2})
        );
        let nobody = alice.http.get(&with("@nobody:localhost")).await.ok();
        assert_eq!(nobody, json!({"joined": [], "count": 0}));
        alice
            .http
            .get(&with(&alice.id))
            .await
            .expect_error(400, "M_INVALID_PARAM");
        alice
            .http
            .get(&with("nobody"))
            .await
            .expect_error(400, "M_INVALID_PARAM");
    }
}

/// Messages in the room that the busy account reads again and again.
const BUSY_MESSAGES: usize = 300;
/// Messages of the other user that are timed, before and meanwhile.
const TIMED: usize = 60;

async fn hostile_19_one_busy_account_leaves_others_their_share(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (busy, other) = (
        User::register(&http, "busy").await,
        User::register(&http, "other").await,
    );
    let (room, own) = (busy.create_public_room().await, other.create_public_room().await);
    for number in 0..BUSY_MESSAGES {
        busy.say(&room, &format!("papaya {number} {}", "lorem ipsum ".repeat(100)))
            .await;
    }
    let alone = time_messages(&other, &own).await;
    let everything = json!({"search_categories": {"room_events": {
        "search_term": "papaya lorem",
        "filter": {"limit": 1_000},
        "event_context": {"before_limit": 1_000, "after_limit": 1_000, "include_profile": true},
        "include_state": true,
        "groupings": {"group_by": [{"key": "room_id"}, {"key": "sender"}]},
    }}});
    let types: Vec<String> = (0..500).map(|n| format!("a*{n}*b*{n}*c")).collect();
    let filter = encode(&json!({"room": {"timeline": {"limit": 1_000, "not_types": types}}}).to_string());
    let users: serde_json::Map<String, Value> =
        (0..2_000).map(|n| (format!("@user{n}:localhost"), json!([]))).collect();
    let keys = json!({"device_keys": users});
    let page = format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=1000", encode(&room));
    let space = format!(
        "/_matrix/client/v1/rooms/{}/hierarchy?limit=1000&max_depth=1000",
        encode(&room)
    );
    let whole = format!("/_matrix/client/v3/sync?full_state=true&filter={filter}");
    let http = &busy.http;
    let search = again_and_again(async || http.post(SEARCH, &everything).await.status);
    let second = again_and_again(async || http.post(SEARCH, &everything).await.status);
    let people = again_and_again(async || {
        http.post(DIRECTORY, &json!({"search_term": "a", "limit": 50}))
            .await
            .status
    });
    let query = again_and_again(async || http.post("/_matrix/client/v3/keys/query", &keys).await.status);
    let pages = again_and_again(async || http.get(&page).await.status);
    let spaces = again_and_again(async || http.get(&space).await.status);
    let syncs = again_and_again(async || http.get(&whole).await.status);
    let load = async { tokio::join!(search, second, people, query, pages, spaces, syncs) };
    let beside = tokio::select! {
        _ = load => unreachable!("it goes on and on"),
        beside = time_messages(&other, &own) => beside,
    };
    let allowed = 10 * alone + Duration::from_millis(300);
    println!("nine of ten messages within {alone:?} alone, within {beside:?} beside a busy account");
    assert!(beside <= allowed, "{beside:?} is more than {allowed:?}");
}

/// The time within which nine of ten messages are answered.
async fn time_messages(user: &User, room: &str) -> Duration {
    let mut times = Vec::with_capacity(TIMED);
    for _ in 0..TIMED {
        let sent = Instant::now();
        user.say(room, "timed").await;
        times.push(sent.elapsed());
    }
    times.sort_unstable();
    times[TIMED * 9 / 10]
}

/// Asks without a pause. Whatever the answer is, it is not a failure of the server.
async fn again_and_again(ask: impl AsyncFn() -> u16) {
    loop {
        let status = ask().await;
        assert!(status < 500 || status == 503, "answered {status}");
        // A refusal comes at once; the others get a word in.
        tokio::task::yield_now().await;
    }
}
