//! Who reads what of a room: pages, state, members, single events.

use plexus_core::{filter::PageFilter, ids::RoomNid, row::Membership};
use plexus_service::{
    Requester, ServiceError,
    error::Refusal,
    rooms::{
        event::get_event,
        messages::{PageRequest, get_messages, position_of_token},
        state::{MemberFilter, get_joined_members, get_members, get_state, get_state_event},
    },
    sync::SyncRequest,
};
use plexus_storage::events::Direction;
use ruma::{EventId, OwnedRoomId};
use serde_json::{Value as Json, json};

use crate::world::World;

fn page(direction: Direction, from: Option<&str>, limit: usize) -> PageRequest {
    let (from, filter) = (from.map(str::to_owned), PageFilter::default());
    PageRequest {
        from,
        to: None,
        direction,
        limit: Some(limit),
        filter,
    }
}

fn id(world: &World, room: RoomNid) -> OwnedRoomId {
    world.room_id(room).try_into().expect("a valid id")
}

fn json(bytes: Result<Vec<u8>, ServiceError>) -> Json {
    serde_json::from_slice(&bytes.expect("allowed")).expect("JSON")
}

fn is_forbidden(result: &Result<Vec<u8>, ServiceError>) {
    assert!(
        matches!(
            result,
            Err(ServiceError::Refused {
                kind: Refusal::Forbidden,
                ..
            })
        ),
        "{result:?}"
    );
}

async fn messages(world: &World, reader: &Requester, room: RoomNid, request: PageRequest) -> Json {
    json(get_messages(&world.ctx, reader, &id(world, room), request).await)
}

/// The bodies of messages, the types of other events.
fn told(events: &Json) -> Vec<String> {
    let events = events.as_array().expect("a list");
    let tell = |event: &Json| {
        event["content"]["body"]
            .as_str()
            .or(event["type"].as_str())
            .map(str::to_owned)
    };
    events.iter().map(|event| tell(event).expect("a text")).collect()
}

#[tokio::test]
async fn pages_chain_from_end_to_end_in_both_directions() {
    let mut world = World::new().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice).await;
    for i in 0..7 {
        world.message(room, &alice, &i.to_string()).await;
    }
    let mut told_both_ways = Vec::new();
    for direction in [Direction::Backward, Direction::Forward] {
        let (mut from, mut all): (Option<String>, Vec<String>) = (None, Vec::new());
        loop {
            let answer = messages(&world, &alice, room, page(direction, from.as_deref(), 3)).await;
            all.extend(told(&answer["chunk"]));
            let Some(end) = answer["end"].as_str() else { break };
            from = Some(end.to_owned());
        }
        told_both_ways.push(all);
    }
    let forward = [
        "m.room.create",
        "m.room.member",
        "m.room.join_rules",
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
    ];
    assert_eq!(told_both_ways[1], forward);
    told_both_ways[0].reverse();
    assert_eq!(told_both_ways[0], forward);
}

#[tokio::test]
async fn pages_begin_and_stop_at_the_tokens_of_syncs() {
    let mut world = World::new().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice).await;
    world.message(room, &alice, "before").await;
    let synced = world.sync(&alice, SyncRequest::default()).await;
    let token = synced["next_batch"].as_str().expect("a token").to_owned();
    world.message(room, &alice, "after").await;
    let back = messages(&world, &alice, room, page(Direction::Backward, Some(&token), 1)).await;
    assert_eq!(told(&back["chunk"]), ["before"]);
    let stop = PageRequest {
        to: Some(token.clone()),
        ..page(Direction::Backward, None, 10)
    };
    let back = messages(&world, &alice, room, stop).await;
    assert_eq!(
        (told(&back["chunk"]), back.get("end")),
        (vec!["after".to_owned()], None)
    );
    let forward = messages(&world, &alice, room, page(Direction::Forward, Some(&token), 10)).await;
    assert_eq!(told(&forward["chunk"]), ["after"]);
    let none = messages(&world, &alice, room, page(Direction::Backward, Some(&token), 0)).await;
    assert_eq!(told(&none["chunk"]), Vec::<String>::new());
    assert_eq!(none["start"], token.as_str());
    let end = none["end"].as_str().expect("a token");
    let back = messages(&world, &alice, room, page(Direction::Backward, Some(end), 1)).await;
    assert_eq!(told(&back["chunk"]), ["before"]);
    for token in ["x", "t1", "sother_1~1_e0~0_0"] {
        let request = page(Direction::Backward, Some(token), 1);
        let refused = get_messages(&world.ctx, &alice, &id(&world, room), request).await;
        assert!(
            matches!(
                refused,
                Err(ServiceError::Refused {
                    kind: Refusal::InvalidParam,
                    ..
                })
            ),
            "{token}"
        );
    }
}

#[tokio::test]
async fn a_filter_picks_events_and_lazy_members_come_along() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&alice).await;
    world.join(room, &bob).await;
    for i in 0..30 {
        world
            .set(room, &alice, "m.room.topic", "", json!({"topic": i.to_string()}))
            .await;
    }
    world.message(room, &bob, "found").await;
    let filter = br#"{"types": ["m.room.message"], "lazy_load_members": true, "limit": 5}"#;
    let filter = PageFilter::parse(filter).expect("a filter");
    let request = PageRequest {
        filter,
        limit: None,
        ..page(Direction::Backward, None, 1)
    };
    let answer = messages(&world, &alice, room, request).await;
    assert_eq!(told(&answer["chunk"]), ["found"]);
    let members = answer["state"].as_array().expect("members");
    assert_eq!(members.len(), 1);
    assert_eq!(members[0]["state_key"], "@bob:localhost");
}

#[tokio::test]
async fn events_carry_what_they_replaced_and_what_redacted_them() {
    let mut world = World::new().await;
    let alice = world.user("alice").await;
    let room = world.room(&alice).await;
    world
        .set(room, &alice, "m.room.topic", "", json!({"topic": "old"}))
        .await;
    world
        .set(room, &alice, "m.room.topic", "", json!({"topic": "new"}))
        .await;
    let message = world.message(room, &alice, "a \"quoted\" text").await;
    world.redact(room, &alice, message).await;
    let answer = messages(&world, &alice, room, page(Direction::Backward, None, 4)).await;
    let [redaction, message, topic, first_topic] = answer["chunk"].as_array().expect("a list").as_slice() else {
        panic!("four events: {answer}");
    };
    assert_eq!(topic["unsigned"]["prev_content"], json!({"topic": "old"}));
    assert!(first_topic["unsigned"].get("prev_content").is_none());
    assert_eq!(message["content"], json!({}));
    assert_eq!(
        message["unsigned"]["redacted_because"]["event_id"],
        redaction["event_id"]
    );
}

#[tokio::test]
async fn who_was_never_in_a_room_reads_it_only_if_the_world_may() {
    let mut world = World::new().await;
    let (alice, mallory) = (world.user("alice").await, world.user("mallory").await);
    let room = world.room(&alice).await;
    let room_id = id(&world, room);
    for invited in [false, true] {
        if invited {
            world
                .member(room, &alice, &mallory, Membership::Invite, json!({}))
                .await;
        }
        is_forbidden(&get_state(&world.ctx, &mallory, &room_id).await);
        is_forbidden(&get_state_event(&world.ctx, &mallory, &room_id, "m.room.create", "", true).await);
        is_forbidden(&get_members(&world.ctx, &mallory, &room_id, None, MemberFilter::default()).await);
        is_forbidden(&get_joined_members(&world.ctx, &mallory, &room_id).await);
        is_forbidden(&get_messages(&world.ctx, &mallory, &room_id, page(Direction::Backward, None, 1)).await);
    }
    let unknown: OwnedRoomId = "!unknown:localhost".try_into().expect("a valid id");
    is_forbidden(&get_state(&world.ctx, &mallory, &unknown).await);
    world.message(room, &alice, "for members").await;
    let open = json!({"history_visibility": "world_readable"});
    world.set(room, &alice, "m.room.history_visibility", "", open).await;
    world.message(room, &alice, "for everybody").await;
    assert!(get_state(&world.ctx, &mallory, &room_id).await.is_ok());
    let answer = messages(&world, &mallory, room, page(Direction::Backward, None, 10)).await;
    assert_eq!(
        told(&answer["chunk"])[..2],
        ["for everybody", "m.room.history_visibility"]
    );
    assert!(!told(&answer["chunk"]).contains(&"for members".to_owned()));
    is_forbidden(&get_joined_members(&world.ctx, &mallory, &room_id).await);
}

#[tokio::test]
async fn who_has_left_reads_up_to_the_leaving() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&alice).await;
    let room_id = id(&world, room);
    world.join(room, &bob).await;
    world
        .set(room, &alice, "m.room.topic", "", json!({"topic": "then"}))
        .await;
    world.message(room, &alice, "seen").await;
    world.member(room, &alice, &bob, Membership::Ban, json!({})).await;
    world.member(room, &alice, &bob, Membership::Leave, json!({})).await;
    world
        .set(room, &alice, "m.room.topic", "", json!({"topic": "now"}))
        .await;
    let hidden = world.message(room, &alice, "not seen").await;
    let topic = get_state_event(&world.ctx, &bob, &room_id, "m.room.topic", "", true).await;
    assert_eq!(json(topic), json!({"topic": "then"}));
    let answer = messages(&world, &bob, room, page(Direction::Backward, None, 2)).await;
    assert_eq!(told(&answer["chunk"]), ["m.room.member", "seen"]);
    let forward = messages(
        &world,
        &bob,
        room,
        page(Direction::Forward, answer["start"].as_str(), 10),
    )
    .await;
    assert_eq!(told(&forward["chunk"]), Vec::<String>::new());
    let hidden = world.ctx.store.event(hidden).await.expect("reads").expect("there");
    let refused = get_event(&world.ctx, &bob, &room_id, hidden.body.event_id()).await;
    assert!(
        matches!(
            refused,
            Err(ServiceError::Refused {
                kind: Refusal::NotFound,
                ..
            })
        ),
        "{refused:?}"
    );
    let members = json(get_members(&world.ctx, &bob, &room_id, None, MemberFilter::default()).await);
    assert_eq!(members["chunk"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn history_for_joined_members_begins_with_the_join() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&alice).await;
    let restricted = json!({"history_visibility": "joined"});
    world
        .set(room, &alice, "m.room.history_visibility", "", restricted)
        .await;
    let before = world.message(room, &alice, "before").await;
    world.join(room, &bob).await;
    world.message(room, &alice, "after").await;
    let answer = messages(&world, &bob, room, page(Direction::Backward, None, 10)).await;
    let told = told(&answer["chunk"]);
    assert_eq!(told[..2], ["after", "m.room.member"]);
    assert!(!told.contains(&"before".to_owned()));
    let before = world.ctx.store.event(before).await.expect("reads").expect("there");
    let ids: [(&Requester, bool); 2] = [(&bob, false), (&alice, true)];
    for (reader, allowed) in ids {
        let read = get_event(&world.ctx, reader, &id(&world, room), before.body.event_id()).await;
        assert_eq!(read.is_ok(), allowed);
    }
    let unknown = EventId::parse("$unknown").expect("a valid id");
    assert!(
        get_event(&world.ctx, &alice, &id(&world, room), &unknown)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn members_are_those_of_the_place_and_kind_asked_for() {
    let mut world = World::new().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let room = world.room(&alice).await;
    let room_id = id(&world, room);
    let before = world.sync(&alice, SyncRequest::default()).await;
    world.join(room, &bob).await;
    world.member(room, &bob, &bob, Membership::Leave, json!({})).await;
    let count = async |at: Option<i64>, filter: MemberFilter| {
        let members = json(get_members(&world.ctx, &alice, &room_id, at, filter).await);
        members["chunk"].as_array().map(Vec::len)
    };
    let left = MemberFilter {
        membership: Some(Membership::Leave),
        not_membership: None,
    };
    let not_left = MemberFilter {
        membership: None,
        not_membership: Some(Membership::Leave),
    };
    assert_eq!(count(None, MemberFilter::default()).await, Some(2));
    assert_eq!(count(None, left).await, Some(1));
    assert_eq!(count(None, not_left).await, Some(1));
    let token = before["next_batch"].as_str().expect("a token");
    let at = position_of_token(&world.ctx, token).await.expect("reached");
    assert_eq!(count(Some(at), MemberFilter::default()).await, Some(1));
    let joined = json(get_joined_members(&world.ctx, &alice, &room_id).await);
    assert_eq!(
        joined,
        json!({"joined": {"@alice:localhost": {"avatar_url": null, "display_name": "alice"}}})
    );
}
