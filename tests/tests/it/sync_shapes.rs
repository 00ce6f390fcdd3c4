//! What syncs tell and in which form, from outside: filters, rooms that were left, the sync of 2014.

use std::sync::Arc;

use plexus_tests::{Cluster, User, encode};
use serde_json::{Value, json};

super::scenarios! {
    a_filter_is_checked_kept_and_given_back,
    a_room_that_was_left_is_told_with_what_was_there_then,
    an_invitation_that_was_declined_is_over,
    heroes_stand_in_for_a_name,
    an_edit_arrives_with_what_it_edits,
    the_old_stream_wakes_and_catches_up,
    the_old_beginnings_tell_of_rooms,
}

async fn upload(user: &User, filter: &Value) -> plexus_tests::Answer {
    let target = format!("/_matrix/client/v3/user/{}/filter", encode(&user.id));
    user.http.post(&target, filter).await
}

/// The types of events.
fn kinds(events: &Value) -> Vec<&str> {
    let events = events.as_array().map(Vec::as_slice).unwrap_or_default();
    events.iter().filter_map(|event| event["type"].as_str()).collect()
}

/// The bodies of messages.
fn bodies(events: &Value) -> Vec<&str> {
    let events = events.as_array().map(Vec::as_slice).unwrap_or_default();
    events
        .iter()
        .filter_map(|event| event["content"]["body"].as_str())
        .collect()
}

async fn sync(user: &User, since: Option<&str>, filter: &Value) -> Value {
    let filter = format!("&filter={}", encode(&filter.to_string()));
    user.sync(since, 0, &filter).await.ok()
}

fn next_batch(answer: &Value) -> String {
    answer["next_batch"].as_str().expect("a token").to_owned()
}

async fn a_filter_is_checked_kept_and_given_back(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let invalid = [
        json!({"presence": "not_an_object"}),
        json!({"room": {"timeline": "not_an_object"}}),
        json!({"room": {"account_data": "not_an_object"}}),
        json!({"room": {"timeline": {"rooms": "not_a_list"}}}),
        json!({"room": {"timeline": {"not_senders": "not_a_list"}}}),
        json!({"room": {"timeline": {"types": [0]}}}),
        json!({"room": {"timeline": {"rooms": ["not_a_room_id"]}}}),
        json!({"room": {"timeline": {"senders": ["not_a_sender_id"]}}}),
        json!({"room": {"timeline": {"limit": -1}}}),
        json!({"room": {"state": {"lazy_load_members": "true"}}}),
        json!({"room": {"state": {"include_redundant_members": 1}}}),
    ];
    for filter in &invalid {
        upload(&alice, filter).await.expect_error(400, "M_BAD_JSON");
    }
    let filter = json!({"room": {"timeline": {"limit": 0}, "state": {"types": ["m.room.member"]}}});
    let id = upload(&alice, &filter).await.ok()["filter_id"].clone();
    let id = id.as_str().expect("an id");
    let target = format!("/_matrix/client/v3/user/{}/filter/{id}", encode(&alice.id));
    assert_eq!(alice.http.get(&target).await.ok(), filter);
    let room = alice.create_public_room().await;
    let answer = alice.sync(None, 0, &format!("&filter={id}")).await.ok();
    let told = &answer["rooms"]["join"][&room];
    assert_eq!(told["timeline"]["events"], json!([]), "{told}");
    assert_eq!(kinds(&told["state"]["events"]), ["m.room.member"]);
    let federation = json!({"event_format": "federation", "room": {"timeline": {"limit": 1}}});
    let answer = sync(&alice, None, &federation).await;
    let event = &answer["rooms"]["join"][&room]["timeline"]["events"][0];
    for field in [
        "event_id",
        "room_id",
        "prev_events",
        "auth_events",
        "depth",
        "hashes",
        "signatures",
    ] {
        assert!(event.get(field).is_some(), "no {field} in {event}");
    }
}

async fn a_room_that_was_left_is_told_with_what_was_there_then(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let room = alice.create_public_room().await;
    bob.join(&room).await;
    let filter = json!({"room": {
        "timeline": {"types": ["m.room.message", "a.state"]},
        "state": {"types": ["a.state"]},
        "include_leave": true,
    }});
    let since = next_batch(&sync(&bob, None, &filter).await);
    let set = async |value: &str| {
        let target = format!("/_matrix/client/v3/rooms/{}/state/a.state", encode(&room));
        alice.http.put(&target, &json!({"body": value})).await.ok();
    };
    alice.say(&room, "said before").await;
    set("set before").await;
    bob.act(&room, "leave", &json!({})).await.ok();
    alice.say(&room, "said after").await;
    set("set after").await;
    for since in [None, Some(since.as_str())] {
        let answer = sync(&bob, since, &filter).await;
        let left = &answer["rooms"]["leave"][&room];
        assert_eq!(
            bodies(&left["timeline"]["events"]),
            ["said before", "set before"],
            "{left}"
        );
        assert_eq!(left["state"], json!({"events": []}), "{left}");
        let later = sync(&bob, Some(&next_batch(&answer)), &filter).await;
        assert!(later["rooms"]["leave"].is_null(), "told twice: {later}");
    }
}

async fn an_invitation_that_was_declined_is_over(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let room = alice
        .create_room(&json!({"preset": "private_chat", "initial_state": [
            {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}},
        ]}))
        .await;
    let first = next_batch(&sync(&bob, None, &json!({})).await);
    alice.invite(&room, &bob).await;
    let invited = sync(&bob, Some(&first), &json!({})).await;
    let stripped = kinds(&invited["rooms"]["invite"][&room]["invite_state"]["events"]);
    assert!(stripped.contains(&"m.room.create"), "{stripped:?}");
    bob.act(&room, "leave", &json!({})).await.ok();
    let declined = sync(&bob, Some(&next_batch(&invited)), &json!({})).await;
    let told = &declined["rooms"]["leave"][&room]["timeline"]["events"];
    assert_eq!(kinds(told), ["m.room.member"], "{declined}");
    assert!(declined["rooms"]["invite"].is_null(), "{declined}");
    let whole = sync(&bob, Some(&first), &json!({})).await;
    assert!(whole["rooms"]["invite"].is_null(), "{whole}");
}

/// Rows 5089 and 5355 of Synapse's changes.
async fn heroes_stand_in_for_a_name(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let alice = User::register(&http, "alice").await;
    let room = alice.create_public_room().await;
    let mut others = Vec::new();
    for _ in 0..5 {
        let other = User::register(&http, "member").await;
        other.join(&room).await;
        others.push(other.id);
    }
    others.sort();
    let lazy = json!({"room": {"state": {"lazy_load_members": true}}});
    let name = format!("/_matrix/client/v3/rooms/{}/state/m.room.name", encode(&room));
    for (content, is_named) in [
        (None, false),
        (Some(json!({"name": "Tea"})), true),
        (Some(json!({"name": ""})), false),
    ] {
        if let Some(content) = &content {
            alice.http.put(&name, content).await.ok();
        }
        let answer = sync(&alice, None, &lazy).await;
        let summary = &answer["rooms"]["join"][&room]["summary"];
        let mut expected = json!({"m.joined_member_count": 6, "m.invited_member_count": 0});
        if !is_named {
            expected["m.heroes"] = json!(others);
        }
        assert_eq!(*summary, expected, "{content:?}");
    }
}

async fn an_edit_arrives_with_what_it_edits(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let room = alice.create_public_room().await;
    let original = alice.say(&room, "a tpyo").await;
    let edit = json!({
        "msgtype": "m.text",
        "body": "* a typo",
        "m.new_content": {"msgtype": "m.text", "body": "a typo"},
        "m.relates_to": {"rel_type": "m.replace", "event_id": original},
    });
    let target = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/edit", encode(&room));
    alice.http.put(&target, &edit).await.ok();
    let answer = sync(&alice, None, &json!({})).await;
    let events = answer["rooms"]["join"][&room]["timeline"]["events"].as_array().cloned();
    let events = events.expect("a timeline");
    let original = events.iter().find(|event| event["event_id"] == original.as_str());
    let bundled = &original.expect("it is there")["unsigned"]["m.relations"]["m.replace"];
    assert_eq!(bundled["content"]["m.new_content"]["body"], "a typo", "{events:?}");
}

async fn the_old_stream_wakes_and_catches_up(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let room = alice.create_public_room().await;
    bob.join(&room).await;
    let start = alice.http.get("/_matrix/client/r0/events?timeout=0").await.ok();
    assert_eq!(start["chunk"], json!([]));
    let mut from = start["end"].as_str().expect("a token").to_owned();
    let wait = format!("/_matrix/client/v3/events?timeout=60000&from={}", encode(&from));
    let (woken, said) = tokio::join!(alice.http.get(&wait), bob.say(&room, "wake up"));
    let woken = woken.ok();
    let event = &woken["chunk"][0];
    assert_eq!(
        (&event["event_id"], &event["room_id"]),
        (&json!(said), &json!(room)),
        "{woken}"
    );
    assert_eq!(event["user_id"], bob.id.as_str(), "as version 1 had it");
    let mut expected = Vec::new();
    for n in 0..20 {
        bob.say(&room, &n.to_string()).await;
        expected.push(n.to_string());
    }
    woken["end"].as_str().expect("a token").clone_into(&mut from);
    let mut told: Vec<String> = Vec::new();
    for _ in 0..10 {
        let target = format!("/_matrix/client/api/v1/events?timeout=0&limit=5&from={}", encode(&from));
        let answer = alice.http.get(&target).await.ok();
        told.extend(bodies(&answer["chunk"]).into_iter().map(str::to_owned));
        answer["end"].as_str().expect("a token").clone_into(&mut from);
    }
    assert_eq!(told, expected);
    for wrong in ["limit=hello", "limit=-2", "timeout=hello", "from=nonsense"] {
        let target = format!("/_matrix/client/r0/events?{wrong}");
        alice.http.get(&target).await.expect_error(400, "M_INVALID_PARAM");
    }
}

async fn the_old_beginnings_tell_of_rooms(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let room = alice
        .create_room(&json!({"preset": "public_chat", "visibility": "public", "topic": "Tea"}))
        .await;
    alice.say(&room, "hello").await;
    let all = alice.http.get("/_matrix/client/v3/initialSync").await.ok();
    let told = &all["rooms"][0];
    assert_eq!(
        (&told["room_id"], &told["membership"]),
        (&json!(room), &json!("join")),
        "{all}"
    );
    assert!(kinds(&told["state"]).contains(&"m.room.topic"), "{told}");
    assert!(bodies(&told["messages"]["chunk"]).contains(&"hello"), "{told}");
    for list in ["presence", "receipts", "account_data"] {
        assert!(all[list].is_array(), "{list} of {all}");
    }
    let none = alice.http.get("/_matrix/client/r0/initialSync?limit=0").await.ok();
    assert_eq!(none["rooms"][0]["messages"]["chunk"], json!([]));
    alice
        .http
        .get("/_matrix/client/v3/initialSync?limit=hello")
        .await
        .expect_error(400, "M_INVALID_PARAM");
    let target = format!("/_matrix/client/v3/rooms/{}/initialSync", encode(&room));
    bob.http.get(&target).await.expect_error(403, "M_FORBIDDEN");
    let visibility = format!(
        "/_matrix/client/v3/rooms/{}/state/m.room.history_visibility",
        encode(&room)
    );
    let open = json!({"history_visibility": "world_readable"});
    alice.http.put(&visibility, &open).await.ok();
    alice.say(&room, "to the world").await;
    let seen = bob.http.get(&target).await.ok();
    assert_eq!(
        kinds(&seen["messages"]["chunk"]),
        ["m.room.history_visibility", "m.room.message"],
        "{seen}"
    );
    let from = seen["messages"]["end"].as_str().expect("a token");
    alice.say(&room, "moose").await;
    let stream = format!(
        "/_matrix/client/v3/events?timeout=60000&room_id={}&from={}",
        encode(&room),
        encode(from)
    );
    let answer = bob.http.get(&stream).await.ok();
    assert_eq!(bodies(&answer["chunk"]), ["moose"], "{answer}");
}
