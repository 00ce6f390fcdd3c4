//! Timelines and state: initial, incremental, limited.

use plexus_core::{
    ids::EventNid,
    row::Membership,
    token::{PageToken, Unreached},
};
use plexus_service::sync::SyncRequest;
use plexus_storage::events::Direction;
use serde_json::{Value, json};

use crate::world::{Say, World, filtered, since, state_of, told};

#[tokio::test]
async fn an_initial_sync_tells_of_everything() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&alice).await;
    let other = world.room(&bob).await;
    world.join(room, &bob).await;
    for n in 0..12 {
        world.message(room, &bob, &n.to_string()).await;
    }
    let answer = world.sync(&alice, SyncRequest::default()).await;
    let told_of = &answer["rooms"]["join"][world.room_id(room)];
    assert_eq!(told(told_of), ["2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]);
    assert_eq!(told_of["timeline"]["limited"], true);
    let expected = [
        "m.room.create ",
        "m.room.join_rules ",
        "m.room.member @alice:localhost",
        "m.room.member @bob:localhost",
    ];
    assert_eq!(state_of(told_of), expected);
    let summary = json!({"m.heroes": ["@bob:localhost"], "m.invited_member_count": 0, "m.joined_member_count": 2});
    assert_eq!(told_of["summary"], summary);
    assert_eq!(
        told_of["timeline"]["events"][0]["unsigned"],
        json!({"age": 5, "membership": "join"})
    );
    assert!(told_of["timeline"]["events"][0].get("room_id").is_none());
    assert!(answer["rooms"]["join"].get(world.room_id(other)).is_none());
    assert_eq!(world.next(&alice, &answer).await["rooms"], json!({}));
}

#[tokio::test]
async fn an_incremental_sync_tells_what_is_new_once() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&alice).await;
    let quiet = world.room(&alice).await;
    world.join(room, &bob).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    world.message(room, &bob, "one").await;
    world.set(room, &bob, "m.room.topic", "", json!({"topic": "a"})).await;
    world.set(room, &bob, "m.room.topic", "", json!({"topic": "b"})).await;
    let second = world.next(&alice, &first).await;
    let told_of = &second["rooms"]["join"][world.room_id(room)];
    assert_eq!(told(told_of), ["one", "m.room.topic", "m.room.topic"]);
    assert_eq!(told_of["timeline"]["limited"], false);
    assert_eq!(told_of["state"], json!({"events": []}));
    assert_eq!(told_of.get("summary"), None, "nobody came or went");
    let unsigned = &told_of["timeline"]["events"][2]["unsigned"];
    assert_eq!(unsigned["prev_content"], json!({"topic": "a"}));
    assert_eq!(unsigned["replaces_state"], told_of["timeline"]["events"][1]["event_id"]);
    assert_eq!(second["rooms"]["join"].get(world.room_id(quiet)), None);
    assert_eq!(world.next(&alice, &second).await["rooms"], json!({}));
    assert_eq!(
        world.next(&alice, &first).await,
        second,
        "the same question has the same answer"
    );
}

#[tokio::test]
async fn the_gap_before_a_limited_timeline_is_exactly_what_is_missing() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&alice).await;
    world.join(room, &bob).await;
    let last = world.message(room, &bob, "seen").await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    world
        .set(room, &bob, "m.room.name", "", json!({"name": "in the gap"}))
        .await;
    for n in 0..70 {
        world.message(room, &bob, &n.to_string()).await;
    }
    world
        .set(room, &bob, "m.room.topic", "", json!({"topic": "shown"}))
        .await;
    let filter = json!({"room": {"timeline": {"limit": 4}}});
    let answer = world.sync(&alice, filtered(&filter, since(&first))).await;
    let told_of = &answer["rooms"]["join"][world.room_id(room)];
    assert_eq!(told(told_of), ["67", "68", "69", "m.room.topic"]);
    assert_eq!(told_of["timeline"]["limited"], true);
    assert_eq!(
        state_of(told_of),
        ["m.room.name "],
        "only what changed before the timeline"
    );
    assert_eq!(gap(&world, told_of, last).await, 68, "the name and 67 messages");
    let after = SyncRequest {
        use_state_after: true,
        ..filtered(&filter, since(&first))
    };
    let answer = world.sync(&alice, after).await;
    let told_of = &answer["rooms"]["join"][world.room_id(room)];
    assert_eq!(state_of(told_of), ["m.room.name ", "m.room.topic "]);
    assert!(told_of.get("state").is_none());
}

/// How many events are between the timeline and `last`.
async fn gap(world: &World, room: &Value, last: EventNid) -> usize {
    let token: Unreached<PageToken> = room["timeline"]["prev_batch"]
        .as_str()
        .expect("a token")
        .parse()
        .expect("one of ours");
    let place = token.reached_at(&world.position()).expect("this process gave it out");
    let last = world
        .ctx
        .store
        .event(last)
        .await
        .expect("the database answers")
        .expect("it is there");
    let page = world
        .ctx
        .store
        .page(last.room, place.order, Direction::Backward, 200)
        .await
        .expect("the database answers");
    page.iter()
        .position(|event| event.nid == last.nid)
        .expect("the page reaches back to it")
}

#[tokio::test]
async fn full_state_is_told_again_with_a_timeline_of_what_is_new() {
    let mut world = World::new().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    world.message(room, &alice, "new").await;
    let request = SyncRequest {
        full_state: true,
        ..since(&first)
    };
    let answer = world.sync(&alice, request).await;
    let told_of = &answer["rooms"]["join"][world.room_id(room)];
    assert_eq!(told(told_of), ["new"]);
    assert_eq!(state_of(told_of).len(), 3);
    let again = world
        .sync(
            &alice,
            SyncRequest {
                full_state: true,
                ..since(&answer)
            },
        )
        .await;
    assert_eq!(
        state_of(&again["rooms"]["join"][world.room_id(room)]).len(),
        3,
        "also when nothing is new"
    );
}

#[tokio::test]
async fn a_room_joined_since_is_told_of_from_its_state_on() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&bob).await;
    world.message(room, &bob, "before").await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    world.join(room, &alice).await;
    world.message(room, &bob, "after").await;
    let answer = world.next(&alice, &first).await;
    let told_of = &answer["rooms"]["join"][world.room_id(room)];
    let shared = [
        "m.room.create",
        "m.room.member",
        "m.room.join_rules",
        "before",
        "m.room.member",
        "after",
    ];
    assert_eq!(
        told(told_of),
        shared,
        "history is shared unless somebody says otherwise"
    );
    assert_eq!(state_of(told_of), [""; 0], "all of the state is in the timeline");
    assert_eq!(told_of["summary"]["m.joined_member_count"], 2);
}

#[tokio::test]
async fn history_from_before_the_join_stays_hidden_where_the_room_says_so() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
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
    world.message(room, &bob, "before").await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    world.join(room, &alice).await;
    world.message(room, &bob, "while in").await;
    world.member(room, &alice, &alice, Membership::Leave, json!({})).await;
    world.message(room, &bob, "while away").await;
    world.join(room, &alice).await;
    world.message(room, &bob, "back").await;
    for request in [since(&first), SyncRequest::default()] {
        let answer = world.sync(&alice, request).await;
        let told_of = &answer["rooms"]["join"][world.room_id(room)];
        let told = told(told_of);
        assert!(
            !told.contains(&"before".to_owned()) && !told.contains(&"while away".to_owned()),
            "{told:?}"
        );
        assert_eq!(
            told[told.len() - 5..],
            ["m.room.member", "while in", "m.room.member", "m.room.member", "back"]
        );
    }
}

#[tokio::test]
async fn only_the_sending_device_is_told_its_transaction() {
    let mut world = World::new().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    let say = Say {
        kind: "m.room.message",
        state_key: None,
        content: json!({"body": "x"}),
        transaction: Some(("PHONE", "txn-1")),
    };
    world.say(room, &alice, say, None).await;
    let mut tablet = alice.clone();
    tablet.device_id = "TABLET".into();
    for (device, expected) in [(&alice, json!("txn-1")), (&tablet, Value::Null)] {
        let answer = world.next(device, &first).await;
        let event = &answer["rooms"]["join"][world.room_id(room)]["timeline"]["events"][0];
        assert_eq!(event["unsigned"]["transaction_id"], expected);
    }
}

#[tokio::test]
async fn a_redacted_event_says_why() {
    let mut world = World::new().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    let secret = world.message(room, &alice, "secret").await;
    world.redact(room, &alice, secret).await;
    let answer = world.next(&alice, &first).await;
    let events = &answer["rooms"]["join"][world.room_id(room)]["timeline"]["events"];
    assert_eq!(events[0]["content"], json!({}));
    assert_eq!(
        events[0]["unsigned"]["redacted_because"]["event_id"],
        events[1]["event_id"]
    );
    assert_eq!(events[1]["type"], "m.room.redaction");
}
