//! Wrong requests get clear errors, and harm nobody.

use std::sync::Arc;

use http::Method;
use plexus_tests::{Answer, Cluster, Timeline, User, encode};
use serde_json::{Value, json};

super::scenarios! {
    bodies_that_are_no_json,
    bodies_that_lack_something_or_are_of_another_type,
    bodies_that_are_too_large,
    ids_that_are_none_or_too_long,
    rooms_that_are_unknown_or_not_ones_own,
    tokens_from_elsewhere_and_from_the_future,
    names_that_cannot_be_registered,
}

const CREATE: &str = "/_matrix/client/v3/createRoom";

async fn bodies_that_are_no_json(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let room = alice.create_public_room().await;
    let deep = format!("{}1{}", "{\"a\":".repeat(20_000), "}".repeat(20_000));
    let deep_array = "[".repeat(100_000);
    let broken = [
        "{",
        "nonsense",
        "{\"a\":1,}",
        "\"text",
        "{\"a\": \u{0}}",
        deep_array.as_str(),
    ];
    for body in broken {
        let answer = alice
            .http
            .send(Method::POST, "/_matrix/client/v3/login", body.to_owned())
            .await;
        assert_eq!(answer.status, 400, "{body:.40}: {}", answer.text());
        assert!(
            ["M_NOT_JSON", "M_BAD_JSON"].contains(&answer.json()["errcode"].as_str().unwrap_or("")),
            "{}",
            answer.text()
        );
    }
    let send = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/deep", encode(&room));
    let trailing = alice.http.send(Method::POST, CREATE, "{} {}").await;
    assert_eq!(trailing.status, 400, "{}", trailing.text());
    for (target, method) in [(CREATE, Method::POST), (&send, Method::PUT)] {
        let answer = alice.http.send(method.clone(), target, deep.clone()).await;
        assert!((400..500).contains(&answer.status), "{target}: {}", answer.text());
        let answer = alice.http.send(method, target, b"\xff\xfe{}".to_vec()).await;
        assert_eq!(answer.status, 400, "{target}: {}", answer.text());
    }
    assert!(Timeline::start(&alice, &room).await.message_ids().is_empty());
}

async fn bodies_that_lack_something_or_are_of_another_type(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let room = alice.create_public_room().await;
    let rooms = format!("/_matrix/client/v3/rooms/{}", encode(&room));
    let wrong: [(String, Value); 8] = [
        ("/_matrix/client/v3/login".into(), json!({})),
        ("/_matrix/client/v3/login".into(), json!({"type": 7})),
        (CREATE.into(), json!([])),
        (CREATE.into(), json!({"preset": 5})),
        (CREATE.into(), json!({"invite": "everybody"})),
        (CREATE.into(), json!({"initial_state": [{"type": "m.room.name"}]})),
        (format!("{rooms}/invite"), json!({})),
        (format!("{rooms}/kick"), json!({"user_id": ["a"]})),
    ];
    for (target, body) in wrong {
        let answer = alice.http.post(&target, &body).await;
        assert_eq!(answer.status, 400, "{target} {body}: {}", answer.text());
        let errcode = answer.json()["errcode"].as_str().unwrap_or("").to_owned();
        let known = ["M_BAD_JSON", "M_MISSING_PARAM", "M_INVALID_PARAM", "M_UNKNOWN"];
        assert!(known.contains(&errcode.as_str()), "{target} {body}: {}", answer.text());
    }
    alice
        .http
        .post("/_matrix/client/v3/login", &json!({"type": "m.login.nonsense"}))
        .await
        .expect_error(400, "M_UNKNOWN");
    let login = json!({
        "type": "m.login.password", "identifier": {"type": "m.id.user", "user": alice.id}, "password": "wrong",
    });
    alice
        .http
        .post("/_matrix/client/v3/login", &login)
        .await
        .expect_error(403, "M_FORBIDDEN");
    // Integers outside of what canonical JSON allows are refused in rooms of today.
    let send = format!("{rooms}/send/m.room.message/numbers");
    let answer = alice
        .http
        .put(
            &send,
            &json!({"msgtype": "m.text", "body": "x", "big": 9_007_199_254_740_993_i64}),
        )
        .await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    let answer = alice
        .http
        .put(&send, &json!({"msgtype": "m.text", "body": "x", "real": 1.5}))
        .await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(Timeline::start(&alice, &room).await.message_ids().is_empty());
}

async fn bodies_that_are_too_large(cluster: Arc<Cluster>) {
    for http in [cluster.http(), cluster.wrong_http()] {
        let alice = User::register(&http, "alice").await;
        let room = alice.create_public_room().await;
        let too_large = "x".repeat(70_000);
        let answer = alice.put_message(&room, "large", &too_large).await.expect("an answer");
        answer.expect_error(413, "M_TOO_LARGE");
        let answer = alice.put_message(&room, "huge", &"x".repeat(20_000_000)).await;
        // A server that has refused may close the connection before everything is sent.
        if let Ok(answer) = answer {
            answer.expect_error(413, "M_TOO_LARGE");
        }
        let fits = alice.say(&room, &"x".repeat(50_000)).await;
        assert_eq!(Timeline::start(&alice, &room).await.message_ids(), [fits.as_str()]);
    }
}

async fn ids_that_are_none_or_too_long(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let room = alice.create_public_room().await;
    let rooms = format!("/_matrix/client/v3/rooms/{}", encode(&room));
    let long = "x".repeat(300);
    for user in ["bob", "@bob", "", &format!("@{long}:localhost")] {
        let answer = alice.act(&room, "invite", &json!({"user_id": user})).await;
        assert_eq!(answer.status, 400, "{user:.20}: {}", answer.text());
    }
    for target in [
        format!("{rooms}/state/{long}/x"),
        format!("{rooms}/state/m.thing/{long}"),
        format!("{rooms}/send/{long}/txn"),
    ] {
        let answer = alice.http.put(&target, &json!({})).await;
        assert!([400, 413].contains(&answer.status), "{target:.60}: {}", answer.text());
    }
    for room in ["nonsense", "!", "%00", &"!x".repeat(200)] {
        let answer = alice.act(room, "join", &json!({})).await;
        assert!((400..=404).contains(&answer.status), "{room:.20}: {}", answer.text());
    }
    let answer = alice.http.get(&format!("{rooms}/event/nonsense")).await;
    assert!([400, 404].contains(&answer.status), "{}", answer.text());
}

async fn rooms_that_are_unknown_or_not_ones_own(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, eve) = (User::register(&http, "alice").await, User::register(&http, "eve").await);
    let room = alice.create_room(&json!({"preset": "private_chat"})).await;
    let secret = alice.say(&room, "between us").await;
    for room in [room.as_str(), "!nowhere:localhost"] {
        let rooms = format!("/_matrix/client/v3/rooms/{}", encode(room));
        let reads = [
            format!("{rooms}/messages?dir=b"),
            format!("{rooms}/state"),
            format!("{rooms}/members"),
            format!("{rooms}/joined_members"),
            format!("{rooms}/state/m.room.create/"),
        ];
        for target in reads {
            eve.http.get(&target).await.expect_error(403, "M_FORBIDDEN");
        }
        // Whether the event exists is nobody's business.
        eve.http
            .get(&format!("{rooms}/event/{}", encode(&secret)))
            .await
            .expect_error(404, "M_NOT_FOUND");
        let answer = eve.put_message(room, "txn", "let me in").await.expect("an answer");
        answer.expect_error(403, "M_FORBIDDEN");
    }
    let of_hers = refusals(&eve, &room, &secret).await;
    assert_eq!(of_hers, refusals(&eve, "!nowhere:localhost", &secret).await);
    assert!(of_hers.iter().all(|answer| *answer == of_hers[0]), "{of_hers:?}");
    assert!(eve.sync(None, 0, "").await.ok()["rooms"]["join"][&room].is_null());
}

/// What a user who is not in a room is told, whatever he tries.
async fn refusals(user: &User, room: &str, event: &str) -> Vec<Value> {
    let rooms = format!("/_matrix/client/v3/rooms/{}", encode(room));
    let typing = format!("{rooms}/typing/{}", encode(&user.id));
    let receipt = format!("{rooms}/receipt/m.read/{}", encode(event));
    let answers = [
        user.http.put(&typing, &json!({"typing": true})).await,
        user.http.post(&receipt, &json!({})).await,
        user.put_message(room, "again", "hello").await.expect("an answer"),
        user.act(room, "join", &json!({})).await,
        user.act(room, "leave", &json!({})).await,
        user.act(room, "invite", &json!({"user_id": user.id})).await,
        user.http.get(&format!("{rooms}/state")).await,
    ];
    for answer in &answers {
        answer.expect_error(403, "M_FORBIDDEN");
    }
    answers.iter().map(Answer::json).collect()
}

async fn tokens_from_elsewhere_and_from_the_future(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let room = alice.create_public_room().await;
    let said = alice.say(&room, "here").await;
    let since = alice.sync(None, 0, "").await.ok()["next_batch"]
        .as_str()
        .expect("a token")
        .to_owned();
    for token in [
        "nonsense",
        "s",
        "s72594_4483_1934",
        "t47429-4392820_219380_26003_2265",
        "-1",
        "\u{0}",
    ] {
        let answer = alice.sync(Some(token), 0, "").await;
        assert_eq!(answer.status, 400, "{token:?}: {}", answer.text());
    }
    // Pages and syncs have tokens of their own.
    let answer = alice.messages(&room, "b", "&from=nonsense").await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    // A token from the future is clamped to what there is, and the room goes on from there.
    let future = future_of(&since);
    let answer = alice.sync(Some(&future), 0, "").await.ok();
    let next = answer["next_batch"].as_str().expect("a token");
    let later = alice.say(&room, "after the future").await;
    let answer = alice.sync(Some(next), 10_000, "").await.ok();
    let events = &answer["rooms"]["join"][&room]["timeline"]["events"];
    assert_eq!(events[0]["event_id"], later.as_str(), "{answer}");
    // A token of another generation starts again from nothing.
    let other = since.replacen(&since[1..9], "deadbeef", 1);
    let answer = alice.sync(Some(&other), 0, "").await.ok();
    let events = answer["rooms"]["join"][&room]["timeline"]["events"]
        .as_array()
        .expect("an initial sync")
        .clone();
    let ids: Vec<_> = events.iter().filter_map(|event| event["event_id"].as_str()).collect();
    assert!(
        ids.contains(&said.as_str()) && ids.contains(&later.as_str()),
        "{answer}"
    );
}

/// The same token with its place on the log far ahead: `s<generation>_<writer>~<sequence>_...`.
fn future_of(since: &str) -> String {
    let (before, after) = since.split_once('~').expect("a token names a place");
    let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}~{}{rest}", 1_000_000_000_000_i64)
}

async fn names_that_cannot_be_registered(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let alice = User::register(&http, "alice").await;
    let taken = alice
        .id
        .trim_start_matches('@')
        .split(':')
        .next()
        .expect("a name")
        .to_owned();
    let register = async |name: &str| {
        let body = json!({"username": name, "password": "x", "auth": {"type": "m.login.dummy"}});
        http.post("/_matrix/client/v3/register", &body).await
    };
    register(&taken).await.expect_error(400, "M_USER_IN_USE");
    for name in ["with space", "ünïcode", "a:b", &"x".repeat(300), "new\nline"] {
        register(name).await.expect_error(400, "M_INVALID_USERNAME");
    }
    // Without the one stage, the server says which it wants.
    let answer = http
        .post(
            "/_matrix/client/v3/register",
            &json!({"username": "someone", "password": "x"}),
        )
        .await;
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(
        answer.json()["flows"][0]["stages"][0],
        "m.login.dummy",
        "{}",
        answer.text()
    );
}
