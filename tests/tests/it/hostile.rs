//! What hostile clients send into rooms. The numbers are those of the rows of the list of attack classes.

use std::sync::Arc;

use http::Method;
use plexus_tests::{Answer, Cluster, User, encode, fresh_name};
use serde_json::{Value, json};

super::scenarios! {
    hostile_1_integers_have_one_verdict_on_every_way_in,
    hostile_2_what_is_no_json_is_refused_and_what_is_odd_comes_back_as_it_was,
    hostile_3_depth_is_bounded_on_every_way_in,
    hostile_4_sizes_are_exact_to_the_byte,
}

fn rooms(room: &str) -> String {
    format!("/_matrix/client/v3/rooms/{}", encode(room))
}

/// Sends a content on every way into a room that takes one.
async fn send_everywhere(user: &User, room: &str, version: &str, content: &str) -> Vec<(&'static str, Answer)> {
    let rooms = rooms(room);
    let create = format!(
        r#"{{"room_version":"{version}","initial_state":[{{"type":"org.example","state_key":"","content":{content}}}]}}"#
    );
    let ways = [
        (
            "send",
            Method::PUT,
            format!("{rooms}/send/org.example/{}", fresh_name("txn")),
            content.to_owned(),
        ),
        (
            "send once",
            Method::POST,
            format!("{rooms}/send/org.example"),
            content.to_owned(),
        ),
        (
            "state",
            Method::PUT,
            format!("{rooms}/state/org.example/{}", fresh_name("key")),
            content.to_owned(),
        ),
        (
            "create",
            Method::POST,
            "/_matrix/client/v3/createRoom".to_owned(),
            create,
        ),
    ];
    let mut answers = Vec::new();
    for (name, method, target, body) in ways {
        answers.push((name, user.http.send(method, &target, body).await));
    }
    answers
}

async fn room_of_version(user: &User, version: &str) -> String {
    user.create_room(&json!({"preset": "public_chat", "room_version": version}))
        .await
}

/// The room still works for others: its whole history and its state can be read.
async fn read_everything(user: &User, room: &str) {
    user.say(room, "still here").await;
    for direction in ["b", "f"] {
        user.messages(room, direction, "&limit=1000").await.ok();
    }
    user.http.get(&format!("{}/state", rooms(room))).await.ok();
    user.sync(None, 0, "").await.ok();
}

async fn hostile_1_integers_have_one_verdict_on_every_way_in(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    // In rooms before version 6, and since.
    let cases = [
        ("-9007199254740992", true, false),
        ("-9007199254740991", true, true),
        ("-0", true, true),
        ("9007199254740991", true, true),
        ("9007199254740992", true, false),
        ("9223372036854775807", true, false),
        ("9223372036854775808", true, false),
        ("1.0", true, false),
        ("1e3", true, false),
        ("1e999", false, false),
    ];
    for version in ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"] {
        let room = room_of_version(&alice, version).await;
        for (number, old, new) in cases {
            let is_allowed = if version.parse::<u32>().is_ok_and(|version| version < 6) {
                old
            } else {
                new
            };
            for content in [format!(r#"{{"n":{number}}}"#), format!(r#"{{"a":[{{"b":{number}}}]}}"#)] {
                for (way, answer) in send_everywhere(&alice, &room, version, &content).await {
                    let what = format!("{version} {way} {content}: {}", answer.text());
                    assert_eq!(answer.status, if is_allowed { 200 } else { 400 }, "{what}");
                    if !is_allowed {
                        let errcode = answer.json()["errcode"].as_str().unwrap_or_default().to_owned();
                        assert!(["M_BAD_JSON", "M_NOT_JSON"].contains(&errcode.as_str()), "{what}");
                    }
                }
            }
        }
        read_everything(&alice, &room).await;
    }
}

async fn hostile_2_what_is_no_json_is_refused_and_what_is_odd_comes_back_as_it_was(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    for version in ["1", "5", "6", "12"] {
        let room = room_of_version(&alice, version).await;
        let broken: [&[u8]; 13] = [
            br#"{"n":NaN}"#,
            br#"{"n":Infinity}"#,
            br#"{"n":-Infinity}"#,
            br#"{"n":+1}"#,
            br#"{"n":01}"#,
            br#"{"n":0x10}"#,
            br#"{"s":"\ud800"}"#,
            br#"{"s":"\udc00\ud800"}"#,
            b"\xef\xbb\xbf{\"bom\":1}",
            b"{\"s\":\"\xff\"}",
            b"{\"s\":\"\xed\xa0\x80\"}",
            b"{\"s\":\"\x00\"}",
            br"{'s':1}",
        ];
        for body in broken {
            let ways = [
                (
                    Method::PUT,
                    format!("{}/send/org.example/{}", rooms(&room), fresh_name("txn")),
                ),
                (Method::POST, format!("{}/send/org.example", rooms(&room))),
                (Method::PUT, format!("{}/state/org.example/key", rooms(&room))),
            ];
            for (method, target) in ways {
                let answer = alice.http.send(method, &target, body.to_vec()).await;
                assert_eq!(
                    answer.status,
                    400,
                    "{version} {}: {}",
                    String::from_utf8_lossy(body),
                    answer.text()
                );
            }
        }
        // Odd, and JSON: what is said comes back as the same text. The last is a number that no float holds.
        let long = format!(r#"{{"s":"{}"}}"#, "\\u0000".repeat(500));
        for content in [
            r#"{"s":"a\u0000b"}"#,
            r#"{"\u0000":"\u0000"}"#,
            r#"{"s":"\ud83d\ude00\uffff"}"#,
            &long,
        ] {
            let sent: Value = serde_json::from_str(content).expect("JSON");
            for (way, answer) in send_everywhere(&alice, &room, version, content).await {
                let answer = answer.ok();
                if let Some(event) = answer["event_id"].as_str() {
                    let read = alice
                        .http
                        .get(&format!("{}/event/{}", rooms(&room), encode(event)))
                        .await
                        .ok();
                    assert_eq!(read["content"], sent, "{version} {way}");
                }
            }
        }
        // Of two members of one name nobody knows which counts.
        for (way, answer) in send_everywhere(&alice, &room, version, r#"{"k":"first","k":"second"}"#).await {
            assert_eq!(answer.status, 400, "{version} {way}: {}", answer.text());
        }
        // In names a NUL is refused.
        for target in ["send/a%00b/txn", "state/a%00b/", "state/org.example/a%00b"] {
            let answer = alice.http.put(&format!("{}/{target}", rooms(&room)), &json!({})).await;
            assert_eq!(answer.status, 400, "{target}: {}", answer.text());
        }
        read_everything(&alice, &room).await;
    }
}

async fn hostile_3_depth_is_bounded_on_every_way_in(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let room = alice.create_public_room().await;
    let nested = |depth: usize| format!(r#"{{"a":{}1{}}}"#, "[".repeat(depth), "]".repeat(depth));
    let elsewhere = [
        (
            Method::POST,
            format!("/_matrix/client/v3/user/{}/filter", encode(&alice.id)),
        ),
        (Method::POST, "/_matrix/client/v3/login".to_owned()),
        (Method::POST, format!("{}/invite", rooms(&room))),
        (
            Method::PUT,
            format!("/_matrix/client/v3/profile/{}/displayname", encode(&alice.id)),
        ),
    ];
    for depth in [10, 64] {
        for (way, answer) in send_everywhere(&alice, &room, "12", &nested(depth)).await {
            assert_eq!(answer.status, 200, "{way} {depth}: {}", answer.text());
        }
    }
    // Between a hundred levels and what canonical JSON of ours takes there is no event of a client's.
    for depth in [101, 128, 1_000, 10_000] {
        for (way, answer) in send_everywhere(&alice, &room, "12", &nested(depth)).await {
            assert_eq!(answer.status, 400, "{way} {depth}: {:.300}", answer.text());
        }
        for (method, target) in &elsewhere {
            let answer = alice.http.send(method.clone(), target, nested(depth)).await;
            assert_eq!(answer.status, 400, "{target} {depth}: {:.300}", answer.text());
        }
        let filter = encode(&nested(depth));
        if filter.len() < 4_000 {
            let answer = alice.messages(&room, "b", &format!("&filter={filter}")).await;
            assert!([200, 400].contains(&answer.status), "{depth}: {}", answer.text());
        }
    }
    read_everything(&alice, &room).await;
}

async fn hostile_4_sizes_are_exact_to_the_byte(cluster: Arc<Cluster>) {
    const EVENT_BYTES_MAX: usize = 65_536;
    let alice = User::register(&cluster.http(), "alice").await;
    for version in ["5", "10", "12"] {
        let room = room_of_version(&alice, version).await;
        let send = async |bytes: usize| {
            // Two bytes a letter, so that what is counted are bytes.
            let body = "é".repeat(bytes / 2) + ["", "x"][bytes % 2];
            alice
                .put_message(&room, &fresh_name("txn"), &body)
                .await
                .expect("an answer")
        };
        // An event tells how large it is in the format of servers; what comes after it differs in its body only.
        // So many that its place in the room has as many digits as theirs.
        for _ in 0..8 {
            send(2_000).await.ok();
        }
        let filter = encode(r#"{"event_format":"federation"}"#);
        let page = alice
            .messages(&room, "b", &format!("&limit=1&filter={filter}"))
            .await
            .ok();
        let mut event = page["chunk"][0].clone();
        let members = event.as_object_mut().expect("an event");
        members.remove("unsigned");
        // Told besides: since version 3 it is no part of the event.
        members.remove("event_id");
        let rest = event.to_string().len() - 2_000;
        for bytes in [EVENT_BYTES_MAX - 1, EVENT_BYTES_MAX] {
            send(bytes - rest).await.ok();
        }
        send(EVENT_BYTES_MAX + 1 - rest).await.expect_error(413, "M_TOO_LARGE");
        let name = |bytes: usize| encode(&("é".repeat(bytes / 2) + ["", "x"][bytes % 2]));
        for (bytes, is_allowed) in [(254, true), (255, true), (256, false), (257, false)] {
            for target in [
                format!("send/{}/{}", name(bytes), fresh_name("txn")),
                format!("state/{}/", name(bytes)),
                format!("state/org.example/{}", name(bytes)),
            ] {
                let answer = alice.http.put(&format!("{}/{target}", rooms(&room)), &json!({})).await;
                let expected = if is_allowed { 200..=200 } else { 400..=413 };
                assert!(
                    expected.contains(&answer.status),
                    "{bytes} {target:.40}: {}",
                    answer.text()
                );
            }
        }
        read_everything(&alice, &room).await;
    }
}
