//! The forms and the edges of answers: formats, limits, what is told of events from before the user came, rooms that are forgotten.

use plexus_core::row::Membership;
use plexus_service::sync::SyncRequest;
use serde_json::{Value, json};

use crate::world::{World, filtered, since, state_of, told};

#[tokio::test]
async fn a_filter_may_want_no_events() {
    let mut world = World::new().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice).await;
    let filter = json!({"room": {"state": {"types": ["m.room.member"]}, "timeline": {"limit": 0}}});
    let first = world.sync(&alice, filtered(&filter, SyncRequest::default())).await;
    let told_of = &first["rooms"]["join"][world.room_id(room)];
    assert_eq!(told(told_of), Vec::<String>::new());
    assert_eq!(state_of(told_of), ["m.room.member @alice:localhost"]);
    assert_eq!(told_of["timeline"]["limited"], true);
    world.message(room, &alice, "text").await;
    let next = world.sync(&alice, filtered(&filter, since(&first))).await;
    let told_of = &next["rooms"]["join"][world.room_id(room)];
    assert_eq!(
        (told(told_of).len(), &told_of["timeline"]["limited"]),
        (0, &json!(true))
    );
    assert!(told_of["timeline"]["prev_batch"].is_string());
}

#[tokio::test]
async fn senders_rooms_and_links_are_picked() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&alice).await;
    let other = world.room(&alice).await;
    world.join(room, &bob).await;
    world.message(room, &alice, "from alice").await;
    world.message(room, &bob, "from bob").await;
    world.message(other, &alice, "elsewhere").await;
    world
        .set(
            room,
            &bob,
            "m.picture",
            "",
            json!({"body": "picture", "url": "mxc://a/b"}),
        )
        .await;
    let pick = async |timeline: Value| {
        let filter = json!({"room": {"timeline": timeline}});
        let answer = world.sync(&alice, filtered(&filter, SyncRequest::default())).await;
        let of = |room| told(&answer["rooms"]["join"][world.room_id(room)]);
        let mut all = of(room);
        all.extend(of(other));
        all.retain(|name| !name.starts_with("m.room."));
        all
    };
    let bob_only = json!({"senders": ["@bob:localhost"]});
    assert_eq!(pick(bob_only).await, ["from bob", "picture"]);
    let not_bob = json!({"not_senders": ["@bob:localhost"]});
    assert_eq!(pick(not_bob).await, ["from alice", "elsewhere"]);
    assert_eq!(pick(json!({"contains_url": true})).await, ["picture"]);
    let plain = json!({"contains_url": false, "not_rooms": [world.room_id(other)]});
    assert_eq!(pick(plain).await, ["from alice", "from bob"]);
    let elsewhere = json!({"rooms": [world.room_id(other)], "types": ["m.room.mess*"]});
    assert_eq!(pick(elsewhere).await, ["elsewhere"]);
}

#[tokio::test]
async fn the_format_of_servers_has_the_ids_that_clients_need() {
    let mut world = World::new().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice).await;
    world.message(room, &alice, "text").await;
    let filter = json!({"event_format": "federation", "room": {"timeline": {"limit": 1}}});
    let answer = world.sync(&alice, filtered(&filter, SyncRequest::default())).await;
    let told_of = &answer["rooms"]["join"][world.room_id(room)];
    let event = &told_of["timeline"]["events"][0];
    for field in [
        "auth_events",
        "content",
        "depth",
        "event_id",
        "hashes",
        "prev_events",
        "room_id",
        "signatures",
    ] {
        assert!(event.get(field).is_some(), "no {field} in {event}");
    }
    let none = json!({"events": []});
    assert_eq!(
        told_of["ephemeral"], none,
        "there for a room that is told for the first time"
    );
    assert!(told_of["state"]["events"][0]["event_id"].is_string());
}

#[tokio::test]
async fn events_say_what_the_user_was_to_the_room() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&bob).await;
    world.message(room, &bob, "before").await;
    world.member(room, &bob, &alice, Membership::Invite, json!({})).await;
    world.message(room, &bob, "invited").await;
    world.join(room, &alice).await;
    world.message(room, &bob, "joined").await;
    let answer = world.sync(&alice, SyncRequest::default()).await;
    let events = answer["rooms"]["join"][world.room_id(room)]["timeline"]["events"].clone();
    let said: Vec<(String, String)> = events
        .as_array()
        .expect("a timeline")
        .iter()
        .filter(|event| event["type"] == "m.room.message" || event["state_key"] == "@alice:localhost")
        .map(|event| {
            let what = event["content"]["body"].as_str().unwrap_or("member");
            let membership = event["unsigned"]["membership"].as_str().expect("each event says it");
            (what.to_owned(), membership.to_owned())
        })
        .collect();
    let expected = [
        ("before", "leave"),
        ("member", "invite"),
        ("invited", "invite"),
        ("member", "join"),
        ("joined", "join"),
    ];
    assert_eq!(
        said,
        expected.map(|(what, membership)| (what.to_owned(), membership.to_owned()))
    );
}

#[tokio::test]
async fn what_is_part_of_the_state_is_shown_though_it_happened_out_of_sight() {
    let mut world = World::new().await;
    let (alice, bob, carol) = (
        world.user("alice").await,
        world.user("bob").await,
        world.user("carol").await,
    );
    let room = world.room(&bob).await;
    world
        .set(
            room,
            &bob,
            "m.room.history_visibility",
            "",
            json!({"history_visibility": "joined"}),
        )
        .await;
    world.join(room, &alice).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    world.member(room, &alice, &alice, Membership::Leave, json!({})).await;
    world.set(room, &bob, "m.room.topic", "", json!({"topic": "old"})).await;
    world.join(room, &carol).await;
    world.set(room, &bob, "m.room.topic", "", json!({"topic": "new"})).await;
    for n in 0..50 {
        world.message(room, &bob, &format!("unseen {n}")).await;
    }
    world.join(room, &alice).await;
    let answer = world.next(&alice, &first).await;
    let events = answer["rooms"]["join"][world.room_id(room)]["timeline"]["events"].clone();
    let events = events.as_array().expect("a timeline");
    assert!(events.iter().any(|event| event["state_key"] == "@carol:localhost"));
    let topics: Vec<_> = events.iter().filter(|event| event["type"] == "m.room.topic").collect();
    assert_eq!(topics.len(), 1, "the topic there is, not the one there was");
    assert_eq!(topics[0]["content"]["topic"], "new");
    assert!(topics[0]["unsigned"].get("prev_content").is_none(), "{}", topics[0]);
    assert!(!answer.to_string().contains("unseen"));
}

#[tokio::test]
async fn a_forgotten_room_is_gone_but_that_it_was_left_is_news() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&bob).await;
    world.join(room, &alice).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    world.member(room, &alice, &alice, Membership::Leave, json!({})).await;
    let archived = json!({"room": {"include_leave": true}});
    let initial = || filtered(&archived, SyncRequest::default());
    assert!(world.sync(&alice, initial()).await["rooms"]["leave"].is_object());
    world.forget(room, &alice).await;
    assert_eq!(world.sync(&alice, initial()).await["rooms"], json!({}));
    let news = world.next(&alice, &first).await;
    assert_eq!(told(&news["rooms"]["leave"][world.room_id(room)]), ["m.room.member"]);
    world.member(room, &bob, &alice, Membership::Invite, json!({})).await;
    assert!(
        world.sync(&alice, initial()).await["rooms"]["invite"].is_object(),
        "asked in once more"
    );
}
