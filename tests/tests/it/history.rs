//! What was said is read again: pages, contexts, single events, redactions, members.

mod home;
mod pages;

use std::sync::Arc;

use plexus_tests::{Cluster, PATIENCE, User, encode, eventually};
use serde_json::{Value, json};

pub(crate) use self::home::{Home, bodies};
use self::pages::{
    pages_are_filtered, seed_5221_a_page_without_events_is_empty, seed_5293_a_page_in_the_format_of_servers,
};

super::scenarios! {
    pages_are_filtered,
    seed_5293_a_page_in_the_format_of_servers,
    seed_5221_a_page_without_events_is_empty,
    a_context_has_what_was_around_and_the_state,
    an_event_is_found_by_its_time,
    what_came_before_a_rejoin_is_read_by_the_rules,
    redactions_take_both_ways_in_old_and_new_rooms,
    unsigned_tells_what_it_should,
    lists_of_members_are_of_their_time,
}

async fn a_context_has_what_was_around_and_the_state(cluster: Arc<Cluster>) {
    let home = Home::new(&cluster).await;
    let bob = User::register(&cluster.http(), "bob").await;
    bob.join(&home.room).await;
    let mut said = Vec::new();
    for line in 0..9 {
        said.push(home.user.say(&home.room, &line.to_string()).await);
    }
    let topic = format!("{}/state/m.room.topic", home.rooms());
    home.user.http.put(&topic, &json!({"topic": "after"})).await.ok();
    let middle = encode(&said[4]);
    let context = home.get(&format!("context/{middle}?limit=5")).await.ok();
    assert_eq!(context["event"]["event_id"], said[4].as_str());
    assert_eq!(bodies(&context["events_before"]), ["3", "2"]);
    assert_eq!(bodies(&context["events_after"]), ["5", "6", "7"]);
    // The state is that of the last event shown: the topic comes later.
    assert!(!bodies(&context["state"]).contains(&"m.room.topic"), "{context}");
    assert!(bodies(&context["state"]).contains(&"m.room.create"), "{context}");
    let start = context["start"].as_str().expect("a token");
    let older = home.page(&format!("dir=b&limit=2&from={}", encode(start))).await;
    assert_eq!(bodies(&older["chunk"]), ["1", "0"]);
    let end = context["end"].as_str().expect("a token");
    let newer = home.page(&format!("dir=f&limit=1&from={}", encode(end))).await;
    assert_eq!(bodies(&newer["chunk"]), ["8"]);
    let alone = home.get(&format!("context/{middle}?limit=0")).await.ok();
    assert_eq!(
        (&alone["events_before"], &alone["events_after"]),
        (&json!([]), &json!([]))
    );
    let filter = encode(&json!({"lazy_load_members": true, "types": ["m.room.message", "m.room.member"]}).to_string());
    let lazy = home
        .get(&format!("context/{middle}?limit=4&filter={filter}"))
        .await
        .ok();
    let members: Vec<&str> = lazy["state"]
        .as_array()
        .expect("a state")
        .iter()
        .filter_map(|event| event["state_key"].as_str())
        .collect();
    assert_eq!(members, [home.user.id.as_str()], "{lazy}");
    home.get("context/$nowhere").await.expect_error(404, "M_NOT_FOUND");
    let carol = User::register(&cluster.http(), "carol").await;
    let private = carol.create_room(&json!({"preset": "private_chat"})).await;
    let secret = carol.say(&private, "secret").await;
    home.get(&format!("context/{}", encode(&secret)))
        .await
        .expect_error(404, "M_NOT_FOUND");
    let target = format!(
        "/_matrix/client/v3/rooms/{}/context/{}",
        encode(&private),
        encode(&secret)
    );
    home.user.http.get(&target).await.expect_error(403, "M_FORBIDDEN");
}

async fn an_event_is_found_by_its_time(cluster: Arc<Cluster>) {
    let home = Home::new(&cluster).await;
    for line in 0..5 {
        home.user.say(&home.room, &line.to_string()).await;
    }
    let page = home.page("dir=f&limit=50").await;
    let events = page["chunk"].as_array().expect("a chunk").clone();
    let time = |event: &Value| event["origin_server_ts"].as_u64().expect("a time");
    let find = async |ts: u64, dir: &str| {
        home.user
            .http
            .get(&format!("{}/timestamp_to_event?ts={ts}&dir={dir}", home.rooms_v1()))
            .await
    };
    let (first, last) = (time(&events[0]), time(&events[events.len() - 1]));
    for event in &events {
        let ts = time(event);
        for dir in ["f", "b"] {
            let found = find(ts, dir).await.ok();
            assert_eq!(found["origin_server_ts"], ts, "{dir} {found}");
        }
    }
    assert_eq!(find(0, "f").await.ok()["event_id"], events[0]["event_id"]);
    assert_eq!(find(last + 1_000_000, "b").await.ok()["origin_server_ts"], last);
    find(last + 1, "f").await.expect_error(404, "M_NOT_FOUND");
    find(first - 1, "b").await.expect_error(404, "M_NOT_FOUND");
    let target = format!("{}/timestamp_to_event?dir=f", home.rooms_v1());
    home.user.http.get(&target).await.expect_error(400, "M_MISSING_PARAM");
    // By its id alone, as clients of long ago ask.
    let target = format!(
        "/_matrix/client/r0/events/{}",
        encode(events[0]["event_id"].as_str().expect("an id"))
    );
    assert_eq!(home.user.http.get(&target).await.ok()["type"], "m.room.create");
    home.user
        .http
        .get("/_matrix/client/r0/events/$nowhere")
        .await
        .expect_error(404, "M_NOT_FOUND");
}

async fn what_came_before_a_rejoin_is_read_by_the_rules(cluster: Arc<Cluster>) {
    let home = Home::new(&cluster).await;
    let bob = User::register(&cluster.http(), "bob").await;
    let visibility = format!("{}/state/m.room.history_visibility", home.rooms());
    for (word, sees_absence) in [("shared", true), ("joined", false), ("invited", false)] {
        let set = home
            .user
            .http
            .put(&visibility, &json!({"history_visibility": word}))
            .await;
        set.ok();
        bob.join(&home.room).await;
        home.user.say(&home.room, &format!("{word} with")).await;
        bob.act(&home.room, "leave", &json!({})).await.ok();
        home.user.say(&home.room, &format!("{word} without")).await;
        let gone = bob.messages(&home.room, "b", "&limit=50").await.ok();
        assert!(bodies(&gone["chunk"]).contains(&&*format!("{word} with")), "{gone}");
        assert!(!bodies(&gone["chunk"]).contains(&&*format!("{word} without")), "{gone}");
        bob.join(&home.room).await;
        let back = bob.messages(&home.room, "b", "&limit=50").await.ok();
        assert!(bodies(&back["chunk"]).contains(&&*format!("{word} with")), "{back}");
        assert_eq!(
            bodies(&back["chunk"]).contains(&&*format!("{word} without")),
            sees_absence,
            "{word} {back}"
        );
    }
    // Gone, and then everybody may look in: he too, at what is said from then on.
    bob.act(&home.room, "leave", &json!({})).await.ok();
    home.user
        .http
        .put(&visibility, &json!({"history_visibility": "world_readable"}))
        .await
        .ok();
    home.user.say(&home.room, "to the world").await;
    // He is at another process, perhaps, and nothing he has done came after it.
    let peek = eventually(PATIENCE, "what is said to the world", async || {
        let peek = bob.messages(&home.room, "b", "&limit=50").await.ok();
        let is_there = bodies(&peek["chunk"]).contains(&"to the world");
        if is_there { Ok(peek) } else { Err(peek.to_string()) }
    })
    .await;
    assert!(!bodies(&peek["chunk"]).contains(&"joined without"), "{peek}");
}

async fn redactions_take_both_ways_in_old_and_new_rooms(cluster: Arc<Cluster>) {
    for version in ["1", "6", "10", "11", "12"] {
        let user = User::register(&cluster.http(), "alice").await;
        let room = user
            .create_room(&json!({"preset": "public_chat", "room_version": version}))
            .await;
        let home = Home { user, room };
        let (one, two) = (
            home.user.say(&home.room, "one").await,
            home.user.say(&home.room, "two").await,
        );
        let redaction = home.redact(&home.user, &one).await;
        let sent = home
            .send(
                &home.user,
                "m.room.redaction",
                &json!({"redacts": two, "reason": "why"}),
            )
            .await;
        for (event, by) in [(&one, &redaction), (&two, &sent)] {
            let redacted = home.event(event).await;
            assert_eq!(redacted["content"], json!({}), "{version}");
            let unsigned = &redacted["unsigned"];
            assert_eq!(unsigned["redacted_by"], by.as_str(), "{version}");
            assert_eq!(unsigned["redacted_because"]["content"]["reason"], "why", "{version}");
            let shown = home.event(by).await;
            assert_eq!(
                (&shown["redacts"], &shown["content"]["redacts"]),
                (&json!(event), &json!(event)),
                "{version}"
            );
        }
        // The redaction of a redaction takes its reason.
        home.redact(&home.user, &redaction).await;
        assert!(home.event(&redaction).await["content"]["reason"].is_null(), "{version}");
        home.try_send(&home.user, "m.room.redaction", &json!({}))
            .await
            .expect_error(400, "M_BAD_JSON");
        let nowhere = format!("{}/redact/$nowhere/txn", home.rooms());
        home.user
            .http
            .put(&nowhere, &json!({}))
            .await
            .expect_error(400, "M_INVALID_PARAM");
        let bob = User::register(&cluster.http(), "bob").await;
        bob.join(&home.room).await;
        let three = home.user.say(&home.room, "three").await;
        let target = format!("{}/redact/{}/bob", home.rooms(), encode(&three));
        bob.http.put(&target, &json!({})).await.expect_error(403, "M_FORBIDDEN");
        assert_eq!(home.event(&three).await["content"]["body"], "three");
    }
}

async fn unsigned_tells_what_it_should(cluster: Arc<Cluster>) {
    let home = Home::new(&cluster).await;
    let other_device = home.user.log_in_again().await;
    let bob = User::register(&cluster.http(), "bob").await;
    let target = format!("{}/send/m.room.message/mine", home.rooms());
    let said = home
        .user
        .http
        .put(&target, &json!({"msgtype": "m.text", "body": "x"}))
        .await
        .ok();
    let said = said["event_id"].as_str().expect("an event").to_owned();
    let name = format!("{}/state/m.room.name", home.rooms());
    home.user.http.put(&name, &json!({"name": "old"})).await.ok();
    let new = home.user.http.put(&name, &json!({"name": "new"})).await.ok();
    let new = new["event_id"].as_str().expect("an event").to_owned();
    bob.join(&home.room).await;
    let own = home.event(&said).await;
    assert_eq!(
        (&own["unsigned"]["transaction_id"], &own["unsigned"]["membership"]),
        (&json!("mine"), &json!("join"))
    );
    assert!(own["unsigned"]["age"].as_i64().is_some_and(|age| age >= 0), "{own}");
    let target = format!("{}/event/{}", home.rooms(), encode(&said));
    let elsewhere = other_device.http.get(&target).await.ok();
    assert!(elsewhere["unsigned"]["transaction_id"].is_null(), "{elsewhere}");
    let before_he_came = bob.http.get(&target).await.ok();
    assert_eq!(before_he_came["unsigned"]["membership"], "leave");
    let named = home.event(&new).await;
    assert_eq!(named["unsigned"]["prev_content"], json!({"name": "old"}), "{named}");
    assert!(named["unsigned"]["replaces_state"].is_string(), "{named}");
}

async fn lists_of_members_are_of_their_time(cluster: Arc<Cluster>) {
    let home = Home::new(&cluster).await;
    let (bob, carol) = (
        User::register(&cluster.http(), "bob").await,
        User::register(&cluster.http(), "carol").await,
    );
    bob.join(&home.room).await;
    let then = home.user.sync(None, 0, "").await.ok()["next_batch"]
        .as_str()
        .expect("a token")
        .to_owned();
    bob.act(&home.room, "leave", &json!({})).await.ok();
    home.user.invite(&home.room, &carol).await;
    let list = async |query: &str| {
        let answer = home.get(&format!("members?{query}")).await.ok();
        let members = answer["chunk"].as_array().expect("a chunk");
        let mut found: Vec<String> = members
            .iter()
            .map(|event| {
                let name = event["state_key"]
                    .as_str()
                    .expect("a member")
                    .split('-')
                    .next()
                    .expect("a name");
                format!(
                    "{name} {}",
                    event["content"]["membership"].as_str().expect("a membership")
                )
            })
            .collect();
        found.sort();
        found
    };
    assert_eq!(list("").await, ["@alice join", "@bob leave", "@carol invite"]);
    assert_eq!(list("membership=join").await, ["@alice join"]);
    assert_eq!(list("not_membership=join").await, ["@bob leave", "@carol invite"]);
    // Both together: either is enough.
    assert_eq!(
        list("membership=join&not_membership=leave").await,
        ["@alice join", "@carol invite"]
    );
    assert_eq!(
        list(&format!("at={}", encode(&then))).await,
        ["@alice join", "@bob join"]
    );
    let joined = home.get("joined_members").await.ok();
    let own = &joined["joined"][&home.user.id];
    assert!(
        own.get("display_name").is_some() && own.get("avatar_url").is_some(),
        "{joined}"
    );
    assert_eq!(joined["joined"].as_object().map(serde_json::Map::len), Some(1));
}
