//! Typing and receipts.

use plexus_core::row::ReceiptKind;
use plexus_service::sync::SyncRequest;
use serde_json::{Value, json};

use crate::world::{NOW_MS, World, filtered, since};

fn typing(users: &[&str]) -> Value {
    json!({"type": "m.typing", "content": {"user_ids": users}})
}

#[tokio::test]
async fn typing_is_told_when_it_changes() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&alice).await;
    world.join(room, &bob).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    world.typing(room, &[&bob]);
    let second = world.next(&alice, &first).await;
    let path = format!(
        "/rooms/join/{}/ephemeral/events",
        world.room_id(room).replace('/', "~1")
    );
    assert_eq!(second.pointer(&path), Some(&json!([typing(&["@bob:localhost"])])));
    assert_eq!(world.next(&alice, &second).await["rooms"], json!({}));
    let fresh = world.sync(&alice, SyncRequest::default()).await;
    assert_eq!(fresh.pointer(&path), Some(&json!([typing(&["@bob:localhost"])])));
    let silent = json!({"room": {"ephemeral": {"not_types": ["m.typing"]}}});
    assert_eq!(
        world.sync(&alice, filtered(&silent, since(&first))).await["rooms"],
        json!({})
    );

    world.typing(room, &[]);
    let third = world.next(&alice, &second).await;
    assert_eq!(third.pointer(&path), Some(&json!([typing(&[])])));

    world.typing(room, &[&bob]);
    let fourth = world.next(&alice, &third).await;
    world.fail_over();
    let other = world.room(&alice).await;
    let fifth = world.next(&alice, &fourth).await;
    world.typing(other, &[&alice]);
    let sixth = world.next(&alice, &fifth).await;
    assert_eq!(
        sixth.pointer(&path),
        Some(&json!([typing(&[])])),
        "what the device knew is of another epoch"
    );
    assert_eq!(world.next(&alice, &sixth).await["rooms"], json!({}));
}

#[tokio::test]
async fn receipts_are_told_and_private_ones_only_to_their_reader() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&alice).await;
    world.join(room, &bob).await;
    let event = world.message(room, &alice, "read me").await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    let event_id = first["rooms"]["join"][world.room_id(room)]["timeline"]["events"]
        .as_array()
        .and_then(|events| events.last())
        .map(|event| event["event_id"].clone())
        .expect("an event");
    world.receipt(room, &bob, ReceiptKind::Read, None, event).await;
    world
        .receipt(room, &bob, ReceiptKind::ReadPrivate, Some("main"), event)
        .await;
    let event_id = event_id.as_str().expect("an id");
    let public = json!({"@bob:localhost": {"ts": NOW_MS}});
    let private = json!({"@bob:localhost": {"thread_id": "main", "ts": NOW_MS}});
    for (reader, content) in [
        (&alice, json!({event_id: {"m.read": public}})),
        (&bob, json!({event_id: {"m.read": public, "m.read.private": private}})),
    ] {
        let answer = world.next(reader, &first).await;
        let events = &answer["rooms"]["join"][world.room_id(room)]["ephemeral"]["events"];
        assert_eq!(events, &json!([{"type": "m.receipt", "content": content}]));
        assert_eq!(world.next(reader, &answer).await["rooms"], json!({}));
        let fresh = world.sync(reader, SyncRequest::default()).await;
        assert_eq!(
            fresh["rooms"]["join"][world.room_id(room)]["ephemeral"]["events"],
            *events
        );
    }
}
