//! What a send writes. `tests/load/NOTES.md` says what it costs; whoever changes one changes the other.

use plexus_core::room_version::RoomVersion;
use plexus_proto::{Command, SendEvent, command::Kind};
use plexus_testkit::sqlite_database;
use serde_json::json;

use super::Server;
use crate::{
    change_set::ChangeSet,
    decide::{LaneState, decide},
};

const ALICE: &str = "@alice:example.org";

/// Allocations of a message from its Command to its answer, on the thread that does all but the writing; the statements' parameters are among them.
const ALLOCATIONS_MAX: u64 = 160;

/// Messages they are counted over.
const MESSAGES: u64 = 100;

/// The function a statement names in its first line.
fn names(change: &ChangeSet) -> Vec<&str> {
    change
        .statements
        .iter()
        .map(|statement| statement.sql.lines().next().unwrap().trim_start_matches("-- "))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_writes_three_rows_of_its_own_and_shares_two() {
    let database = sqlite_database().await;
    let server = Server::start(&database, "one").await;
    server.register(ALICE).await;
    let room = server.create_room("room", ALICE, RoomVersion::V12).await;
    let leader = server.master.leader_for_tests();
    let mut state = LaneState::default();
    let mut turn = ChangeSet::default();
    for number in 0..2_u8 {
        let send = SendEvent {
            room_id: room.clone(),
            sender: ALICE.to_owned(),
            kind: "m.room.message".to_owned(),
            content: json!({"msgtype": "m.text", "body": "hello"}).to_string().into(),
            ..SendEvent::default()
        };
        let command = Command {
            id: vec![number; 16].into(),
            kind: Some(Kind::SendEvent(send)),
            task: None,
        };
        let mut decision = decide(&leader, &mut state, &command).await.unwrap();
        leader.remember_result(&command, &mut decision);
        turn.append(decision.change);
    }
    state.store_head(&mut turn);
    // Two messages of one turn: the room's head is written once for both. The sequencer adds the log row and the head of the log for the whole commit.
    assert_eq!(
        names(&turn),
        [
            "events::insert",
            "commands::insert",
            "events::insert",
            "commands::insert",
            "room_heads::upsert"
        ]
    );
    assert_eq!(turn.rows.len(), 2);
    drop(leader);
    server.stop().await;
}

/// Members of a large room; what a message writes must not depend on how many there are.
const MEMBERS: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_a_large_room_writes_no_more_rows() {
    let database = sqlite_database().await;
    let server = Server::start(&database, "one").await;
    server.register(ALICE).await;
    let room = server.create_room("room", ALICE, RoomVersion::V12).await;
    for member in 0..MEMBERS {
        let id = format!("@{member:03}:example.org");
        server.register(&id).await;
        server.join(&room, &id).await.expect("the room is public");
    }
    let leader = server.master.leader_for_tests();
    let mut state = LaneState::default();
    let send = SendEvent {
        room_id: room.clone(),
        sender: ALICE.to_owned(),
        kind: "m.room.message".to_owned(),
        content: json!({"msgtype": "m.text", "body": "hello, everybody"})
            .to_string()
            .into(),
        ..SendEvent::default()
    };
    let command = Command {
        id: vec![9; 16].into(),
        kind: Some(Kind::SendEvent(send)),
        task: None,
    };
    let mut decision = decide(&leader, &mut state, &command).await.unwrap();
    state.store_head(&mut decision.change);
    assert_eq!(names(&decision.change), ["events::insert", "room_heads::upsert"]);
    assert_eq!(decision.change.rows.len(), 1);
    drop(leader);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sender_alone_costs_one_commit_a_message() {
    let database = sqlite_database().await;
    let server = Server::start(&database, "one").await;
    server.register(ALICE).await;
    let room = server.create_room("room", ALICE, RoomVersion::V12).await;
    let before = server.log().await.len();
    for number in 0..10 {
        server.send(&format!("s{number}"), &room, ALICE, "hello").await.unwrap();
    }
    assert_eq!(server.log().await.len() - before, 10);
    server.stop().await;
}

#[test]
fn a_message_costs_a_bounded_number_of_allocations() {
    // On one thread, because that is where they are counted; SQLite writes on a thread of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (database, server, room) = runtime.block_on(async {
        let database = sqlite_database().await;
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        let room = server.create_room("room", ALICE, RoomVersion::V12).await;
        server.send("first", &room, ALICE, "hello").await.unwrap();
        (database, server, room)
    });
    let counted = allocation_counter::measure(|| {
        runtime.block_on(async {
            for number in 0..MESSAGES {
                server.send(&format!("s{number}"), &room, ALICE, "hello").await.unwrap();
            }
        });
    });
    let each = counted.count_total / MESSAGES;
    assert!(
        each <= ALLOCATIONS_MAX,
        "{each} allocations, {} bytes",
        counted.bytes_total / MESSAGES
    );
    runtime.block_on(server.stop());
    drop(database);
}
