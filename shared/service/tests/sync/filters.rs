//! Filters.

use plexus_service::{ServiceError, sync::SyncRequest};
use serde_json::json;

use crate::world::{World, filtered, since, state_of, told};

#[tokio::test]
async fn a_filter_decides_which_rooms_and_events_are_told() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&alice).await;
    let hidden = world.room(&alice).await;
    world.join(room, &bob).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    world.message(hidden, &alice, "hidden").await;
    for n in 0..30 {
        world.message(room, &bob, &n.to_string()).await;
        world.set(room, &bob, "m.room.topic", "", json!({"topic": n})).await;
    }
    let filter = json!({"room": {
        "not_rooms": [world.room_id(hidden)],
        "timeline": {"types": ["m.room.mess*"], "limit": 3},
    }});
    let answer = world.sync(&alice, filtered(&filter, since(&first))).await;
    assert!(answer["rooms"]["join"].get(world.room_id(hidden)).is_none());
    let told_of = &answer["rooms"]["join"][world.room_id(room)];
    assert_eq!(told(told_of), ["27", "28", "29"]);
    assert_eq!(told_of["timeline"]["limited"], true);
    assert_eq!(
        state_of(told_of),
        ["m.room.topic "],
        "what the timeline does not show is told as state"
    );
    assert_eq!(told_of["state"]["events"][0]["content"], json!({"topic": 29}));

    let nothing = json!({"room": {"timeline": {"types": []}, "state": {"types": []}}});
    assert_eq!(
        world.sync(&alice, filtered(&nothing, since(&first))).await["rooms"],
        json!({})
    );
    let state = json!({"room": {"state": {"types": ["m.room.create"]}, "timeline": {"limit": 1}}});
    let initial = world.sync(&alice, filtered(&state, SyncRequest::default())).await;
    assert_eq!(
        state_of(&initial["rooms"]["join"][world.room_id(room)]),
        ["m.room.create "]
    );
}

#[tokio::test]
async fn events_are_cut_down_to_the_fields_asked_for() {
    let mut world = World::new().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    world.message(room, &alice, "text").await;
    let filter = json!({"event_fields": ["type", "content.body"]});
    let answer = world.sync(&alice, filtered(&filter, since(&first))).await;
    let events = &answer["rooms"]["join"][world.room_id(room)]["timeline"]["events"];
    assert_eq!(
        events,
        &json!([{"content": {"body": "text"}, "type": "m.room.message"}])
    );
    let federation = filtered(&json!({"event_format": "federation"}), since(&first));
    let answer = world.sync(&alice, federation).await;
    let event = &answer["rooms"]["join"][world.room_id(room)]["timeline"]["events"][0];
    assert!(event["hashes"].is_object() && event["unsigned"]["age"].is_number());
}

#[tokio::test]
async fn a_filter_is_named_by_its_id() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&alice).await;
    let body = json!({"room": {"timeline": {"limit": 1}}}).to_string();
    let id = world
        .ctx
        .store
        .insert_filter(alice.user, body.as_bytes())
        .await
        .expect("the database answers");
    let request = SyncRequest {
        filter: Some(id.to_string()),
        ..SyncRequest::default()
    };
    let answer = world.sync(&alice, request.clone()).await;
    assert_eq!(told(&answer["rooms"]["join"][world.room_id(room)]).len(), 1);
    for (user, filter) in [
        (&bob, id.to_string()),
        (&alice, "77".to_owned()),
        (&alice, "x".to_owned()),
        (&alice, "{".to_owned()),
    ] {
        let refused = world
            .try_sync(
                user,
                SyncRequest {
                    filter: Some(filter),
                    ..SyncRequest::default()
                },
            )
            .await;
        assert!(matches!(refused, Err(ServiceError::Refused { .. })), "{refused:?}");
    }
}
