//! The sync of 2014.

use std::time::Duration;

use plexus_core::{
    ids::{EventNid, RoomNid},
    row::{Membership, ReceiptKind},
};
use plexus_service::{
    Requester, ServiceError,
    error::Refusal,
    sync::legacy::{EventsRequest, get_events, get_initial_sync, get_room_initial_sync, open_stream},
};
use ruma::OwnedRoomId;
use serde_json::{Value, json};

use crate::world::World;

fn parsed(answer: Result<Vec<u8>, ServiceError>) -> Value {
    serde_json::from_slice(&answer.expect("allowed")).expect("JSON")
}

fn id(world: &World, room: RoomNid) -> OwnedRoomId {
    world.room_id(room).try_into().expect("a valid id")
}

/// Bodies of messages, types of other events.
fn names(events: &Value) -> Vec<String> {
    let name = |event: &Value| {
        event["content"]["body"]
            .as_str()
            .or(event["type"].as_str())
            .map(str::to_owned)
    };
    let events = events.as_array().expect("a list");
    events.iter().map(|event| name(event).expect("a type")).collect()
}

fn request(from: &str, limit: usize) -> EventsRequest {
    EventsRequest {
        from: from.to_owned(),
        limit,
        timeout: Duration::ZERO,
        room_id: None,
        token_hash: None,
    }
}

async fn now(world: &World) -> String {
    open_stream(&world.ctx, None).await.expect("the master answers")
}

async fn events(world: &World, user: &Requester, request: &EventsRequest) -> Value {
    parsed(get_events(&world.ctx, user, request).await)
}

fn is_refused(result: &Result<Vec<u8>, ServiceError>, wanted: Refusal) {
    assert!(
        matches!(result, Err(ServiceError::Refused { kind, .. }) if *kind == wanted),
        "{result:?}"
    );
}

#[tokio::test]
async fn the_stream_catches_up_in_order_and_without_a_gap() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let rooms = [world.room(&alice).await, world.room(&alice).await];
    let hidden = world.room(&bob).await;
    let mut from = now(&world).await;
    let mut expected = Vec::new();
    let mut last = EventNid(0);
    for n in 0..70 {
        last = world.message(rooms[n % 2], &alice, &n.to_string()).await;
        world.message(hidden, &bob, "hidden").await;
        expected.push(n.to_string());
    }
    let mut told = Vec::new();
    for _ in 0..20 {
        let answer = events(&world, &alice, &request(&from, 9)).await;
        assert_eq!(answer["start"], from.as_str());
        told.extend(names(&answer["chunk"]));
        answer["end"].as_str().expect("a token").clone_into(&mut from);
    }
    assert_eq!(told, expected);
    let invited = world.room(&bob).await;
    world.member(invited, &bob, &alice, Membership::Invite, json!({})).await;
    world
        .member(rooms[0], &alice, &alice, Membership::Leave, json!({}))
        .await;
    world.message(rooms[0], &bob, "afterwards").await;
    world.receipt(rooms[1], &alice, ReceiptKind::Read, None, last).await;
    world.typing(rooms[1], &[&alice]);
    let answer = events(&world, &alice, &request(&from, 10)).await;
    let chunk = answer["chunk"].as_array().expect("a list");
    assert_eq!(
        names(&answer["chunk"]),
        ["m.room.member", "m.room.member", "m.typing", "m.receipt"]
    );
    let invite = &chunk[0];
    assert_eq!(
        (&invite["user_id"], &invite["room_id"]),
        (&json!("@bob:localhost"), &json!(world.room_id(invited)))
    );
    assert_eq!(chunk[1]["prev_content"]["membership"], "join");
    assert!(chunk[1]["age"].is_number());
    for event in &chunk[2..] {
        assert_eq!(event["room_id"], world.room_id(rooms[1]));
    }
    let end = answer["end"].as_str().expect("a token");
    let nothing = events(&world, &alice, &request(end, 10)).await;
    assert_eq!((&nothing["chunk"], &nothing["end"]), (&json!([]), &json!(end)));
}

#[tokio::test]
async fn who_looks_in_sees_what_the_world_may() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let guest = Requester {
        guest: true,
        ..world.user("guest").await
    };
    let room = world.room(&alice).await;
    let room_id = id(&world, room);
    world.message(room, &alice, "private").await;
    let from = now(&world).await;
    let looking = |from: &str| EventsRequest {
        room_id: Some(room_id.clone()),
        ..request(from, 10)
    };
    is_refused(
        &get_events(&world.ctx, &guest, &request(&from, 10)).await,
        Refusal::MissingParam,
    );
    for user in [&guest, &bob] {
        is_refused(&get_events(&world.ctx, user, &looking(&from)).await, Refusal::Forbidden);
        let initial = get_room_initial_sync(&world.ctx, user, &room_id, 10).await;
        is_refused(&initial, Refusal::Forbidden);
    }
    let open = json!({"history_visibility": "world_readable"});
    world.set(room, &alice, "m.room.history_visibility", "", open).await;
    world.message(room, &alice, "public").await;
    for user in [&guest, &bob] {
        let initial = parsed(get_room_initial_sync(&world.ctx, user, &room_id, 10).await);
        assert_eq!(
            names(&initial["messages"]["chunk"]),
            ["m.room.history_visibility", "public"]
        );
        let end = initial["messages"]["end"].as_str().expect("a token");
        assert_eq!(events(&world, user, &looking(end)).await["chunk"], json!([]));
        let answer = events(&world, user, &looking(&from)).await;
        assert_eq!(names(&answer["chunk"]), ["m.room.history_visibility", "public"]);
    }
    // Once it is closed, nothing more: not who types either.
    world.join(room, &bob).await;
    let from = now(&world).await;
    let closed = json!({"history_visibility": "shared"});
    world.set(room, &alice, "m.room.history_visibility", "", closed).await;
    world.member(room, &bob, &bob, Membership::Leave, json!({})).await;
    world.typing(room, &[&alice]);
    for user in [&guest, &bob] {
        is_refused(&get_events(&world.ctx, user, &looking(&from)).await, Refusal::Forbidden);
    }
}

#[tokio::test]
async fn everything_to_begin_with_is_told() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&alice).await;
    world.join(room, &bob).await;
    let mut last = EventNid(0);
    for n in 0..20 {
        last = world.message(room, &bob, &n.to_string()).await;
    }
    world.receipt(room, &bob, ReceiptKind::Read, None, last).await;
    let invited = world.room(&bob).await;
    world.member(invited, &bob, &alice, Membership::Invite, json!({})).await;
    let left = world.room(&bob).await;
    world.join(left, &alice).await;
    world.message(left, &bob, "goodbye").await;
    world.member(left, &alice, &alice, Membership::Leave, json!({})).await;
    world.message(left, &bob, "afterwards").await;
    let answer = parsed(get_initial_sync(&world.ctx, &alice, 3, false).await);
    let rooms = answer["rooms"].as_array().expect("a list");
    assert_eq!(rooms.len(), 2);
    assert_eq!(
        (&rooms[0]["membership"], &rooms[0]["visibility"]),
        (&json!("join"), &json!("private"))
    );
    assert_eq!(names(&rooms[0]["messages"]["chunk"]), ["17", "18", "19"]);
    assert_eq!(rooms[0]["messages"]["end"], answer["end"]);
    let mut kinds = names(&rooms[0]["state"]);
    kinds.sort();
    assert_eq!(
        kinds,
        ["m.room.create", "m.room.join_rules", "m.room.member", "m.room.member"]
    );
    assert_eq!(answer["receipts"][0]["room_id"], world.room_id(room));
    assert_eq!(
        (&rooms[1]["membership"], &rooms[1]["inviter"]),
        (&json!("invite"), &json!("@bob:localhost"))
    );
    assert_eq!(rooms[1]["invite"]["content"]["membership"], "invite");
    let archived = parsed(get_initial_sync(&world.ctx, &alice, 2, true).await);
    let of_left = &archived["rooms"][2];
    assert_eq!(of_left["membership"], "leave");
    assert_eq!(names(&of_left["messages"]["chunk"]), ["goodbye", "m.room.member"]);
    let none = parsed(get_initial_sync(&world.ctx, &alice, 0, false).await);
    assert_eq!(none["rooms"][0]["messages"]["chunk"], json!([]));
    let alone = parsed(get_room_initial_sync(&world.ctx, &alice, &id(&world, left), 2).await);
    assert_eq!(alone["membership"], "leave");
    assert_eq!(names(&alone["messages"]["chunk"]), ["goodbye", "m.room.member"]);
    assert_eq!((&alone["receipts"], &alone["presence"]), (&json!([]), &json!([])));
    let member = parsed(get_room_initial_sync(&world.ctx, &alice, &id(&world, room), 1).await);
    assert_eq!(
        (names(&member["messages"]["chunk"]), &member["membership"]),
        (vec!["19".to_owned()], &json!("join"))
    );
    assert_eq!(member["receipts"].as_array().map(Vec::len), Some(1));
    assert_eq!(member["state"].as_array().map(Vec::len), Some(4));
}
