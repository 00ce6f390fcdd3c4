//! Waiting for news.

use std::{pin::pin, time::Duration};

use futures_util::poll;
use plexus_core::row::Membership;
use plexus_service::{
    ServiceError,
    sync::{SyncRequest, SyncResponse, sync},
};
use serde_json::{Value, json};
use tokio::time::{Instant, error::Elapsed, timeout};

use crate::world::{World, filtered, since, told, waiting};

/// Far longer than any of this takes.
const DEADLINE: Duration = Duration::from_secs(20);

fn read(answer: Result<Result<SyncResponse, ServiceError>, Elapsed>) -> Value {
    let answer = answer.expect("in time").expect("an answer");
    serde_json::from_slice(&answer.0).expect("JSON")
}

#[tokio::test]
async fn who_waits_is_told_as_soon_as_there_is_news() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&alice).await;
    world.join(room, &bob).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    let ctx = world.ctx.clone();
    let answer = timeout(DEADLINE, sync(&ctx, &alice, waiting(since(&first))));
    let (answer, _) = tokio::join!(answer, world.message(room, &bob, "wake up"));
    let answer = read(answer);
    assert_eq!(told(&answer["rooms"]["join"][world.room_id(room)]), ["wake up"]);
}

#[tokio::test]
async fn an_invitation_wakes_who_is_in_no_room() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&bob).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    let ctx = world.ctx.clone();
    let answer = timeout(DEADLINE, sync(&ctx, &alice, waiting(since(&first))));
    let (answer, _) = tokio::join!(answer, world.member(room, &bob, &alice, Membership::Invite, json!({})));
    let answer = read(answer);
    assert!(answer["rooms"]["invite"][world.room_id(room)].is_object());
}

#[tokio::test]
async fn news_that_a_filter_hides_wakes_nobody() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&alice).await;
    world.join(room, &bob).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    let filter = json!({"room": {"timeline": {"not_senders": [bob.user_id]}}});
    let ctx = world.ctx.clone();
    let mut answer = pin!(timeout(
        DEADLINE,
        sync(&ctx, &alice, waiting(filtered(&filter, since(&first))))
    ));
    for n in 0..5 {
        assert!(poll!(&mut answer).is_pending());
        world.message(room, &bob, &n.to_string()).await;
    }
    assert!(poll!(&mut answer).is_pending());
    world.message(room, &alice, "mine").await;
    let answer = read(answer.await);
    assert_eq!(told(&answer["rooms"]["join"][world.room_id(room)]), ["mine"]);
}

#[tokio::test]
async fn without_news_the_answer_is_empty_at_the_deadline() {
    let mut world = World::new().await;
    let alice = world.user("alice").await;
    world.room(&alice).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    let begun = Instant::now();
    let wait = Duration::from_millis(80);
    let answer = world
        .sync(
            &alice,
            SyncRequest {
                timeout: wait,
                ..since(&first)
            },
        )
        .await;
    assert!(begun.elapsed() >= wait);
    assert_eq!(answer["rooms"], json!({}));
    assert_eq!(answer["next_batch"], first["next_batch"]);
}

#[tokio::test]
async fn a_session_that_is_gone_is_told_nothing() {
    let mut world = World::new().await;
    let alice = world.user("alice").await;
    world.room(&alice).await;
    let first = world.sync(&alice, SyncRequest::default()).await;
    let refused = world
        .try_sync(
            &alice,
            SyncRequest {
                token_hash: Some([1; 32]),
                ..waiting(since(&first))
            },
        )
        .await;
    assert!(
        matches!(refused, Err(ServiceError::Matrix { status: 401, .. })),
        "{refused:?}"
    );
}
