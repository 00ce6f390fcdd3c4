//! People talk.

use std::{collections::BTreeSet, sync::Arc};

use plexus_tests::{Cluster, Http, PATIENCE, Timeline, User, encode, fresh_name};
use serde_json::{Value, json};

super::scenarios! {
    two_people_hold_a_conversation,
    a_waiting_sync_is_woken,
    a_limited_timeline_has_a_way_back_to_the_first_event,
    a_repeated_transaction_is_one_event,
    membership_goes_its_ways,
    what_is_not_in_a_timeline_arrives_too,
    every_room_version_can_be_made,
}

const LINES: usize = 25;

async fn two_people_hold_a_conversation(cluster: Arc<Cluster>) {
    converse(&cluster.http()).await;
}

/// Everything from an invite to the same lines in the same order on both sides.
pub(crate) async fn converse(http: &Http) {
    let (alice, bob) = (User::register(http, "alice").await, User::register(http, "bob").await);
    let room = alice
        .create_room(&json!({"preset": "private_chat", "name": "A room"}))
        .await;
    alice.invite(&room, &bob).await;
    let invited = bob.sync(None, 0, "").await.ok();
    let stripped = &invited["rooms"]["invite"][&room]["invite_state"]["events"];
    let kinds: BTreeSet<&str> = stripped
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|e| e["type"].as_str())
        .collect();
    for kind in ["m.room.create", "m.room.name", "m.room.member"] {
        assert!(kinds.contains(kind), "no {kind} in {stripped}");
    }
    bob.join(&room).await;
    let (mut left, mut right) = (Timeline::start(&alice, &room).await, Timeline::start(&bob, &room).await);
    let speak = async |user: &User, name: &str| {
        for line in 0..LINES {
            user.say(&room, &format!("{name} {line}")).await;
        }
    };
    let all = |timeline: &Timeline| timeline.bodies().len() == 2 * LINES;
    tokio::join!(
        speak(&alice, "alice"),
        speak(&bob, "bob"),
        left.until(PATIENCE, "all lines", all),
        right.until(PATIENCE, "all lines", all),
    );
    assert_eq!(left.message_ids(), right.message_ids());
    for name in ["alice", "bob"] {
        let own: Vec<_> = left
            .bodies()
            .into_iter()
            .filter(|body| body.starts_with(name))
            .collect();
        let wanted: Vec<_> = (0..LINES).map(|line| format!("{name} {line}")).collect();
        assert_eq!(own, wanted);
    }
}

async fn a_waiting_sync_is_woken(cluster: Arc<Cluster>) {
    // That somebody comes online is news too, and not what this is about.
    const UNSEEN: &str = "&set_presence=offline";
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let room = alice.create_public_room().await;
    bob.join(&room).await;
    let since = next_batch(&bob.sync(None, 0, UNSEEN).await.ok());
    let waiting = bob.sync(Some(&since), 60_000, UNSEEN);
    let speaking = async {
        let quiet = alice.sync(None, 0, UNSEEN).await.ok();
        // A sync with nothing to tell waits as long as it was asked to, and no longer.
        let idle = alice.sync(Some(&next_batch(&quiet)), 100, UNSEEN).await.ok();
        assert!(idle["rooms"]["join"][&room].is_null(), "{idle}");
        alice.say(&room, "wake up").await
    };
    let (answer, said) = tokio::join!(waiting, speaking);
    let events = &answer.ok()["rooms"]["join"][&room]["timeline"]["events"];
    assert_eq!(events[0]["event_id"], said.as_str(), "{events}");
    assert_eq!(events.as_array().map(Vec::len), Some(1));
}

async fn a_limited_timeline_has_a_way_back_to_the_first_event(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let room = alice.create_public_room().await;
    bob.join(&room).await;
    let since = next_batch(&bob.sync(None, 0, "").await.ok());
    let mut said = Vec::new();
    for line in 0..30 {
        said.push(alice.say(&room, &line.to_string()).await);
    }
    let filter = encode(r#"{"room":{"timeline":{"limit":5}}}"#);
    let answer = bob.sync(Some(&since), 0, &format!("&filter={filter}")).await.ok();
    let timeline = &answer["rooms"]["join"][&room]["timeline"];
    assert_eq!(timeline["limited"], true, "{timeline}");
    assert_eq!(ids(&timeline["events"]), said[25..]);
    let mut back = Vec::new();
    let mut from = timeline["prev_batch"].as_str().expect("a way back").to_owned();
    for _ in 0..20 {
        let page = bob
            .messages(&room, "b", &format!("&limit=7&from={}", encode(&from)))
            .await
            .ok();
        back.extend(page["chunk"].as_array().expect("a chunk").iter().cloned());
        match page["end"].as_str() {
            Some(end) if back.last().is_none_or(|event| event["type"] != "m.room.create") => end.clone_into(&mut from),
            _ => break,
        }
    }
    assert_eq!(back.last().map(|event| &event["type"]), Some(&json!("m.room.create")));
    let found: Vec<String> = ids(&json!(back));
    let mut wanted = said[..25].to_vec();
    wanted.reverse();
    assert_eq!(found[..25], wanted);
    let distinct: BTreeSet<_> = found.iter().collect();
    assert_eq!(distinct.len(), found.len());
    let empty = bob.messages(&room, "b", "&limit=0").await.ok();
    assert_eq!(empty["chunk"], json!([]));
    assert_eq!(empty["start"], empty["end"]);
    let forward = bob.messages(&room, "f", "&limit=200").await.ok();
    let mut forward = ids(&forward["chunk"]);
    forward.reverse();
    assert_eq!(forward[5..], found);
}

async fn a_repeated_transaction_is_one_event(cluster: Arc<Cluster>) {
    let alice = User::register(&cluster.http(), "alice").await;
    let room = alice.create_public_room().await;
    let txn = fresh_name("txn");
    let send = async |text: &str| {
        let answer = alice
            .put_message(&room, &txn, text)
            .await
            .expect("the server is there")
            .ok();
        answer["event_id"].as_str().expect("an event id").to_owned()
    };
    let (first, second) = tokio::join!(send("once"), send("once"));
    assert_eq!(first, second);
    assert_eq!(send("once").await, first);
    let timeline = Timeline::start(&alice, &room).await;
    assert_eq!(timeline.message_ids(), [first.as_str()]);
    let message = timeline.events().last().expect("a message");
    assert_eq!(message["unsigned"]["transaction_id"], txn.as_str(), "{message}");
}

async fn membership_goes_its_ways(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let alice = User::register(&http, "alice").await;
    let (bob, carol) = (User::register(&http, "bob").await, User::register(&http, "carol").await);
    let room = alice.create_room(&json!({"preset": "private_chat"})).await;
    bob.act(&room, "join", &json!({}))
        .await
        .expect_error(403, "M_FORBIDDEN");
    alice.invite(&room, &bob).await;
    bob.act(&room, "leave", &json!({})).await.ok();
    bob.act(&room, "join", &json!({}))
        .await
        .expect_error(403, "M_FORBIDDEN");
    for user in [&bob, &carol] {
        alice.invite(&room, user).await;
        user.join(&room).await;
    }
    let since = next_batch(&bob.sync(None, 0, "").await.ok());
    bob.act(&room, "kick", &json!({"user_id": carol.id}))
        .await
        .expect_error(403, "M_FORBIDDEN");
    let last = alice.say(&room, "for both").await;
    let out = json!({"user_id": bob.id, "reason": "enough"});
    alice.act(&room, "ban", &out).await.ok();
    let hidden = alice.say(&room, "not for bob").await;
    alice.act(&room, "kick", &json!({"user_id": carol.id})).await.ok();
    let answer = bob.sync(Some(&since), 0, "").await.ok();
    let events = &answer["rooms"]["leave"][&room]["timeline"]["events"];
    let seen = ids(events);
    assert!(seen.contains(&last) && !seen.contains(&hidden), "{answer}");
    assert_eq!(
        events
            .as_array()
            .and_then(|all| all.last())
            .map(|e| &e["content"]["membership"]),
        Some(&json!("ban"))
    );
    bob.act(&room, "join", &json!({}))
        .await
        .expect_error(403, "M_FORBIDDEN");
    alice.act(&room, "unban", &json!({"user_id": bob.id})).await.ok();
    alice.invite(&room, &bob).await;
    bob.join(&room).await;
    let path = format!("/_matrix/client/v3/rooms/{}/joined_members", encode(&room));
    let joined = alice.http.get(&path).await.ok();
    let joined: BTreeSet<_> = joined["joined"]
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect();
    assert_eq!(joined, BTreeSet::from([alice.id.clone(), bob.id.clone()]));
}

async fn what_is_not_in_a_timeline_arrives_too(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    let room = alice.create_public_room().await;
    bob.join(&room).await;
    let said = alice.say(&room, "read this").await;
    let mut timeline = Timeline::start(&alice, &room).await;
    let typing = format!("/_matrix/client/v3/rooms/{}/typing/{}", encode(&room), encode(&bob.id));
    bob.http
        .put(&typing, &json!({"typing": true, "timeout": 30_000}))
        .await
        .ok();
    let shown = json!({"type": "m.typing", "content": {"user_ids": [bob.id]}});
    until_ephemeral(&mut timeline, &room, &shown).await;
    bob.http.put(&typing, &json!({"typing": false})).await.ok();
    let shown = json!({"type": "m.typing", "content": {"user_ids": []}});
    until_ephemeral(&mut timeline, &room, &shown).await;
    bob.act(&room, &format!("receipt/m.read/{}", encode(&said)), &json!({}))
        .await
        .ok();
    timeline
        .until(PATIENCE, "the receipt", |timeline| {
            let events = timeline.latest["rooms"]["join"][&room]["ephemeral"]["events"].as_array();
            let mut receipts = events
                .into_iter()
                .flatten()
                .filter(|event| event["type"] == "m.receipt");
            receipts.any(|event| event["content"][&said]["m.read"].get(&bob.id).is_some())
        })
        .await;
    let redact = format!(
        "/_matrix/client/v3/rooms/{}/redact/{}/{}",
        encode(&room),
        encode(&said),
        fresh_name("txn")
    );
    let redaction = alice.http.put(&redact, &json!({"reason": "typo"})).await.ok();
    let is_redaction = |event: &Value| event["event_id"] == redaction["event_id"];
    timeline
        .until(PATIENCE, "the redaction", |timeline| {
            timeline.events().iter().any(is_redaction)
        })
        .await;
    let event = format!("/_matrix/client/v3/rooms/{}/event/{}", encode(&room), encode(&said));
    let event = bob.http.get(&event).await.ok();
    assert_eq!(event["content"], json!({}), "{event}");
    assert_eq!(
        event["unsigned"]["redacted_because"]["event_id"], redaction["event_id"],
        "{event}"
    );
}

async fn until_ephemeral(timeline: &mut Timeline, room: &str, wanted: &Value) {
    let what = wanted.to_string();
    timeline
        .until(PATIENCE, &what, |timeline| {
            let events = timeline.latest["rooms"]["join"][room]["ephemeral"]["events"].as_array();
            events.is_some_and(|events| events.contains(wanted))
        })
        .await;
}

async fn every_room_version_can_be_made(cluster: Arc<Cluster>) {
    let http = cluster.http();
    let (alice, bob) = (User::register(&http, "alice").await, User::register(&http, "bob").await);
    for version in 1..=12 {
        let wanted = json!({"preset": "public_chat", "room_version": version.to_string()});
        let room = alice.create_room(&wanted).await;
        bob.join(&room).await;
        let said = bob.say(&room, "hello").await;
        let timeline = Timeline::start(&alice, &room).await;
        assert_eq!(timeline.message_ids(), [said.as_str()], "version {version}");
    }
    let wanted = json!({"room_version": "13"});
    alice
        .http
        .post("/_matrix/client/v3/createRoom", &wanted)
        .await
        .expect_error(400, "M_UNSUPPORTED_ROOM_VERSION");
}

fn next_batch(answer: &Value) -> String {
    answer["next_batch"]
        .as_str()
        .expect("a sync says where to go on")
        .to_owned()
}

fn ids(events: &Value) -> Vec<String> {
    let events = events.as_array().unwrap_or_else(|| panic!("no events: {events}"));
    events
        .iter()
        .map(|event| event["event_id"].as_str().expect("an event id").to_owned())
        .collect()
}
