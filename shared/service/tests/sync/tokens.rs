//! Tokens from elsewhere.

use plexus_core::position::{Position, WriterId};
use plexus_service::{ServiceError, sync::SyncRequest};
use serde_json::json;

use crate::world::{GENERATION, World, told};

fn from(token: String) -> SyncRequest {
    SyncRequest {
        since: Some(token),
        ..SyncRequest::default()
    }
}

#[tokio::test]
async fn what_is_no_token_of_ours_is_refused() {
    let mut world = World::new().await;
    let alice = world.user("alice").await;
    for token in ["", "x", "s1_2_3", "t5_1~3"] {
        let refused = world.try_sync(&alice, from(token.to_owned())).await;
        assert!(
            matches!(refused, Err(ServiceError::Refused { .. })),
            "{token}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn a_token_of_another_history_begins_anew() {
    let mut world = World::new().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice).await;
    let answer = world.sync(&alice, from("sother_1~999_e1~0_0".to_owned())).await;
    assert_eq!(told(&answer["rooms"]["join"][world.room_id(room)]).len(), 3);
    assert!(
        answer["next_batch"]
            .as_str()
            .is_some_and(|token| token.starts_with(&format!("s{GENERATION}_")))
    );
}

#[tokio::test]
async fn a_token_from_the_future_is_moved_back_to_the_head() {
    let mut world = World::new().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice).await;
    let head = world.position().get(WriterId::MASTER);
    let future = Position::at(WriterId::MASTER, head + 1000);
    let answer = world.sync(&alice, from(format!("s{GENERATION}_{future}_e1~0_0"))).await;
    assert_eq!(answer["rooms"], json!({}));
    world.message(room, &alice, "later").await;
    let next = world.next(&alice, &answer).await;
    assert_eq!(
        told(&next["rooms"]["join"][world.room_id(room)]),
        ["later"],
        "nothing is skipped on the way there"
    );
}
