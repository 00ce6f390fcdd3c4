//! Summaries: how many are in a room, and by whom it is named.

use plexus_core::row::Membership;
use plexus_service::sync::SyncRequest;
use serde_json::{Value, json};

use crate::world::{World, since};

fn heroes(world: &World, answer: &Value, room: plexus_core::ids::RoomNid) -> Value {
    answer["rooms"]["join"][world.room_id(room)]["summary"]["m.heroes"].clone()
}

/// Row 5089 of Synapse's changes.
#[tokio::test]
async fn an_empty_name_or_alias_is_none() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let named = [
        ("m.room.name", json!({"name": "Tea"}), false),
        ("m.room.name", json!({"name": ""}), true),
        ("m.room.name", json!({"name": null, "other": 1}), true),
        ("m.room.name", json!({}), true),
        ("m.room.canonical_alias", json!({"alias": "#tea:localhost"}), false),
        ("m.room.canonical_alias", json!({"alias": ""}), true),
        (
            "m.room.canonical_alias",
            json!({"alt_aliases": ["#tea:localhost"]}),
            true,
        ),
    ];
    for (kind, content, has_heroes) in named {
        let room = world.room(&alice).await;
        world.join(room, &bob).await;
        world.set(room, &alice, kind, "", content.clone()).await;
        let answer = world.sync(&alice, SyncRequest::default()).await;
        let expected = if has_heroes {
            json!(["@bob:localhost"])
        } else {
            Value::Null
        };
        assert_eq!(heroes(&world, &answer, room), expected, "{kind} {content}");
    }
}

/// Row 5355 of Synapse's changes.
#[tokio::test]
async fn heroes_are_five_others_in_order_or_those_who_were_there() {
    let mut world = World::new().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice).await;
    let mut others = Vec::new();
    for name in ["zoe", "yann", "xara", "will", "vera", "ulla", "tim"] {
        others.push(world.user(name).await);
    }
    world
        .member(room, &alice, &others[0], Membership::Invite, json!({}))
        .await;
    for other in &others[1..] {
        world.join(room, other).await;
    }
    let mut last = world.sync(&alice, SyncRequest::default()).await;
    let expected = json!([
        "@vera:localhost",
        "@will:localhost",
        "@xara:localhost",
        "@yann:localhost",
        "@zoe:localhost"
    ]);
    assert_eq!(heroes(&world, &last, room), expected);
    let summary = &last["rooms"]["join"][world.room_id(room)]["summary"];
    assert_eq!(
        (&summary["m.joined_member_count"], &summary["m.invited_member_count"]),
        (&json!(7), &json!(1))
    );
    for other in &others[..5] {
        let how = if other == &others[1] {
            Membership::Ban
        } else {
            Membership::Leave
        };
        world.member(room, &alice, other, how, json!({})).await;
    }
    last = world.sync(&alice, since(&last)).await;
    assert_eq!(
        heroes(&world, &last, room),
        json!(["@tim:localhost", "@ulla:localhost"]),
        "who is there, and nobody who was"
    );
    for other in &others[5..] {
        world.member(room, other, other, Membership::Leave, json!({})).await;
    }
    last = world.sync(&alice, since(&last)).await;
    assert_eq!(
        heroes(&world, &last, room),
        expected,
        "all have left: those who did first"
    );
    world.message(room, &alice, "anybody?").await;
    last = world.sync(&alice, since(&last)).await;
    assert!(
        last["rooms"]["join"][world.room_id(room)].get("summary").is_none(),
        "nothing has changed"
    );
}
