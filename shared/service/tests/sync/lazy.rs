//! Lazy members.

use plexus_service::sync::SyncRequest;
use serde_json::{Value, json};

use crate::world::{World, filtered, since, state_of};

fn lazy() -> Value {
    json!({"room": {"state": {"lazy_load_members": true}, "timeline": {"limit": 2}}})
}

#[tokio::test]
async fn only_the_members_that_are_needed_are_told_and_only_once() {
    let mut world = World::new().await;
    let (alice, bob, carol) = (
        world.user("alice").await,
        world.user("bob").await,
        world.user("carol").await,
    );
    let room = world.room(&alice).await;
    world.set(room, &alice, "m.room.name", "", json!({"name": "Tea"})).await;
    world.join(room, &bob).await;
    world.join(room, &carol).await;
    world.message(room, &bob, "1").await;
    world.message(room, &bob, "2").await;
    let first = world.sync(&alice, filtered(&lazy(), SyncRequest::default())).await;
    let told_of = &first["rooms"]["join"][world.room_id(room)];
    let state = state_of(told_of);
    let (member_alice, member_bob) = ("m.room.member @alice:localhost", "m.room.member @bob:localhost");
    assert_eq!(
        state,
        [
            "m.room.create ",
            "m.room.join_rules ",
            member_alice,
            member_bob,
            "m.room.name "
        ]
    );

    world.message(room, &bob, "3").await;
    let second = world.sync(&alice, filtered(&lazy(), since(&first))).await;
    assert_eq!(
        state_of(&second["rooms"]["join"][world.room_id(room)]),
        [""; 0],
        "Bob is known"
    );

    world.message(room, &carol, "4").await;
    let third = world.sync(&alice, filtered(&lazy(), since(&second))).await;
    let member_carol = "m.room.member @carol:localhost";
    assert_eq!(state_of(&third["rooms"]["join"][world.room_id(room)]), [member_carol]);
    let lost = world.sync(&alice, filtered(&lazy(), since(&second))).await;
    assert_eq!(
        state_of(&lost["rooms"]["join"][world.room_id(room)]),
        [member_carol],
        "the answer before was lost"
    );

    world.message(room, &carol, "5").await;
    let redundant = json!({"room": {"state": {"lazy_load_members": true, "include_redundant_members": true}}});
    let fourth = world.sync(&alice, filtered(&redundant, since(&third))).await;
    assert_eq!(state_of(&fourth["rooms"]["join"][world.room_id(room)]), [member_carol]);
    let fresh = world.sync(&alice, filtered(&lazy(), SyncRequest::default())).await;
    world.message(room, &bob, "6").await;
    let next = world.sync(&alice, filtered(&lazy(), since(&fresh))).await;
    assert_eq!(
        state_of(&next["rooms"]["join"][world.room_id(room)]),
        [member_bob],
        "what an older session knew is gone"
    );
}

#[tokio::test]
async fn changes_of_members_in_a_gap_are_told() {
    let mut world = World::new().await;
    let (alice, bob, carol) = (
        world.user("alice").await,
        world.user("bob").await,
        world.user("carol").await,
    );
    let room = world.room(&alice).await;
    world.join(room, &bob).await;
    let first = world.sync(&alice, filtered(&lazy(), SyncRequest::default())).await;
    world.join(room, &carol).await;
    for n in 0..3 {
        world.message(room, &bob, &n.to_string()).await;
    }
    let second = world.sync(&alice, filtered(&lazy(), since(&first))).await;
    let told_of = &second["rooms"]["join"][world.room_id(room)];
    assert_eq!(told_of["timeline"]["limited"], true);
    assert!(state_of(told_of).contains(&"m.room.member @carol:localhost".to_owned()));
    assert_eq!(told_of["summary"]["m.joined_member_count"], 3);
    assert_eq!(
        told_of["summary"]["m.heroes"],
        json!(["@bob:localhost", "@carol:localhost"])
    );
}
