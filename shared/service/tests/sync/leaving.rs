//! Invitations, leaving, being thrown out, coming back.

use plexus_core::row::Membership;
use plexus_service::sync::SyncRequest;
use serde_json::json;

use crate::world::{World, filtered, since, state_of, told};

#[tokio::test]
async fn an_invitation_shows_what_room_it_is_for_and_nothing_else() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&bob).await;
    world.set(room, &bob, "m.room.name", "", json!({"name": "Tea"})).await;
    world.message(room, &bob, "secret").await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    world.member(room, &bob, &alice, Membership::Invite, json!({})).await;
    world
        .set(room, &bob, "m.room.name", "", json!({"name": "Coffee"}))
        .await;
    for answer in [
        world.next(&alice, &first).await,
        world.sync(&alice, SyncRequest::default()).await,
    ] {
        let invited = &answer["rooms"]["invite"][world.room_id(room)];
        let events = invited["invite_state"]["events"].as_array().expect("stripped state");
        let kinds: Vec<_> = events
            .iter()
            .map(|event| event["type"].as_str().expect("a type"))
            .collect();
        let expected = [
            "m.room.create",
            "m.room.join_rules",
            "m.room.name",
            "m.room.member",
            "m.room.member",
        ];
        assert_eq!(kinds, expected);
        assert_eq!(
            events[2]["content"],
            json!({"name": "Tea"}),
            "as it was when he was invited"
        );
        assert_eq!(events[4]["state_key"], "@alice:localhost");
        assert!(events.iter().all(|event| event.get("event_id").is_none()));
        assert!(answer["rooms"].get("join").is_none());
        assert_eq!(world.next(&alice, &answer).await["rooms"], json!({}), "told once");
    }
}

#[tokio::test]
async fn the_timeline_ends_with_the_leave() {
    for end in [Membership::Leave, Membership::Ban] {
        let mut world = World::new().await;
        let (alice, bob) = (world.user("alice").await, world.user("bob").await);
        let room = world.room(&bob).await;
        world.join(room, &alice).await;
        let first = world.sync(&alice, SyncRequest::default()).await;
        world.message(room, &bob, "goodbye").await;
        world.member(room, &bob, &alice, end, json!({})).await;
        world.message(room, &bob, "about her").await;
        world
            .set(room, &bob, "m.room.topic", "", json!({"topic": "secret"}))
            .await;
        let answer = world.next(&alice, &first).await;
        let left = &answer["rooms"]["leave"][world.room_id(room)];
        assert_eq!(told(left), ["goodbye", "m.room.member"]);
        assert_eq!(left["timeline"]["events"][1]["unsigned"]["membership"], end.as_str());
        assert_eq!(left["state"], json!({"events": []}));
        assert_eq!(world.next(&alice, &answer).await["rooms"], json!({}));
        let initial = world.sync(&alice, SyncRequest::default()).await;
        assert_eq!(initial["rooms"], json!({}), "a new device is not told of rooms left");
        let request = filtered(&json!({"room": {"include_leave": true}}), SyncRequest::default());
        let initial = world.sync(&alice, request).await;
        let left = &initial["rooms"]["leave"][world.room_id(room)];
        assert_eq!(told(left).last().map(String::as_str), Some("m.room.member"));
        assert!(!initial.to_string().contains("secret") && !initial.to_string().contains("about her"));
    }
}

#[tokio::test]
async fn who_comes_back_is_told_all_of_the_state() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&bob).await;
    world.join(room, &alice).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    world.member(room, &alice, &alice, Membership::Leave, json!({})).await;
    let second = world.next(&alice, &first).await;
    assert_eq!(told(&second["rooms"]["leave"][world.room_id(room)]), ["m.room.member"]);
    for n in 0..20 {
        world.message(room, &bob, &n.to_string()).await;
    }
    world.join(room, &alice).await;
    let third = world.next(&alice, &second).await;
    let back = &third["rooms"]["join"][world.room_id(room)];
    assert_eq!(back["timeline"]["limited"], true);
    assert_eq!(state_of(back).len(), 4);
    assert!(third["rooms"].get("leave").is_none());
}

#[tokio::test]
async fn an_invitation_refused_or_a_stranger_banned_is_the_member_event_alone() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&bob).await;
    world.member(room, &bob, &alice, Membership::Invite, json!({})).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    world.message(room, &bob, "secret").await;
    world.member(room, &alice, &alice, Membership::Leave, json!({})).await;
    let answer = world.next(&alice, &first).await;
    let left = &answer["rooms"]["leave"][world.room_id(room)];
    assert_eq!((told(left), state_of(left)), (vec!["m.room.member".to_owned()], vec![]));
    world.member(room, &bob, &alice, Membership::Ban, json!({})).await;
    let answer = world.next(&alice, &answer).await;
    assert_eq!(told(&answer["rooms"]["leave"][world.room_id(room)]), ["m.room.member"]);
}

#[tokio::test]
async fn everything_until_the_leave_is_told_though_an_invitation_came_after_it() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&bob).await;
    world.join(room, &alice).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    world.message(room, &bob, "goodbye").await;
    world.member(room, &alice, &alice, Membership::Leave, json!({})).await;
    world.message(room, &bob, "about her").await;
    world
        .set(room, &bob, "m.room.topic", "", json!({"topic": "secret"}))
        .await;
    world.member(room, &bob, &alice, Membership::Invite, json!({})).await;
    world.member(room, &alice, &alice, Membership::Leave, json!({})).await;
    let answer = world.sync(&alice, since(&first)).await;
    let left = &answer["rooms"]["leave"][world.room_id(room)];
    assert_eq!(
        told(left),
        ["goodbye", "m.room.member", "m.room.member", "m.room.member"]
    );
    assert!(!answer.to_string().contains("secret"));
}
