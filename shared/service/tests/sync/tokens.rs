//! Tokens from elsewhere.

use std::pin::pin;

use futures_util::poll;
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

#[tokio::test]
async fn a_token_that_is_ahead_of_this_process_is_waited_for() {
    let mut world = World::new().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    world.hold();
    world.message(room, &alice, "told elsewhere").await;
    let elsewhere = from(format!("s{GENERATION}_{}_e0~0_0", world.position()));
    let frames = world.release();
    let mut answer = pin!(world.try_sync(&alice, elsewhere));
    assert!(
        poll!(&mut answer).is_pending(),
        "it must not answer from before the token"
    );
    for frame in &frames {
        world.ctx.replica.receive(frame);
    }
    let answer = answer.await.expect("it has caught up");
    assert_eq!(answer["rooms"], json!({}), "it was told before");
    let missed = world.next(&alice, &first).await;
    assert_eq!(told(&missed["rooms"]["join"][world.room_id(room)]), ["told elsewhere"]);
}
