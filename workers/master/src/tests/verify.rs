//! `room verify`: it finds nothing in rooms that are as they should be, and whatever is made wrong, which a rebuild sets right.

use std::sync::Arc;

use plexus_core::room_version::RoomVersion;
use plexus_proto::{PurgeHistory, SendEvent, change_membership::Action, command::Kind};
use plexus_storage::{
    Store,
    db::{Database, Statement, Value},
    removals::{self, RemovalStatus},
    rooms::RoomInfo,
};
use plexus_testkit::databases;
use ruma::{RoomId, server_name};
use serde_json::json;

use super::Server;
use crate::verify::{Verified, VerifyError, verify_room};

const ALICE: &str = "@alice:example.org";
const BOB: &str = "@bob:example.org";

async fn verify(db: &Database, room: &str, rebuild: bool) -> Result<Verified, VerifyError> {
    verify_room(db, server_name!("example.org"), room, rebuild).await
}

async fn info(db: &Database, room: &str) -> Arc<RoomInfo> {
    let room_id = RoomId::parse(room).expect("an id");
    let room = Store::new(db.clone()).room(&room_id).await.expect("the store answers");
    room.expect("the room is known")
}

async fn send(server: &Server, room: &str, kind: &str, state_key: Option<&str>, content: serde_json::Value) -> String {
    let event = SendEvent {
        room_id: room.to_owned(),
        sender: ALICE.to_owned(),
        kind: kind.to_owned(),
        state_key: state_key.map(str::to_owned),
        content: content.to_string().into(),
        ..SendEvent::default()
    };
    let id = format!("s{}", rand::random::<u32>());
    let sent = server.run(&id, Kind::SendEvent(event)).await.expect("she may");
    sent.event_id.expect("it has an id")
}

/// A room in which things have happened.
async fn lively_room(server: &Server, version: RoomVersion) -> String {
    let room = server.create_room(&format!("room{version}"), ALICE, version).await;
    server.join(&room, BOB).await.expect("it is public");
    for topic in 0..40 {
        send(
            server,
            &room,
            "m.room.topic",
            Some(""),
            json!({"topic": topic.to_string()}),
        )
        .await;
        send(server, &room, "m.room.message", None, json!({"body": "hello"})).await;
        send(server, &room, "x.key", Some(&topic.to_string()), json!({})).await;
    }
    for action in [Action::Ban, Action::Unban, Action::Invite] {
        server
            .change_membership(&room, ALICE, BOB, action)
            .await
            .expect("she may");
    }
    room
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_found_in_rooms_that_are_right() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        server.register(BOB).await;
        for version in [RoomVersion::V1, RoomVersion::V11, RoomVersion::V12] {
            let room = lively_room(&server, version).await;
            let verified = verify(&database.db, &room, false).await.expect("the room is there");
            assert_eq!(
                (verified.total, verified.events > 120),
                (0, true),
                "{version}: {verified:?}"
            );
            if version == RoomVersion::V1 {
                continue;
            }
            let said = send(&server, &room, "m.room.message", None, json!({"body": "point"})).await;
            let purge = PurgeHistory {
                room_id: room.clone(),
                removal_id: room.clone(),
                event_id: said,
                delete_local_events: true,
            };
            let id = format!("p{version}");
            server.run(&id, Kind::PurgeHistory(purge)).await.expect("accepted");
            loop {
                let removal = removals::get(&database.db, &room).await.expect("the database answers");
                if removal.is_some_and(|removal| removal.status == RemovalStatus::Complete) {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            send(&server, &room, "m.room.topic", Some(""), json!({"topic": "after"})).await;
            let verified = verify(&database.db, &room, false).await.expect("the room is there");
            assert_eq!(verified.total, 0, "{version}: {verified:?}");
        }
        let refused = verify(&database.db, "!nowhere:example.org", false).await;
        assert!(matches!(refused, Err(VerifyError::UnknownRoom)), "{refused:?}");
        server.stop().await;
    }
}

/// What is made wrong, and what has to be said of it.
const DAMAGES: [(&str, &str); 11] = [
    (
        "-- test::root\nUPDATE room_heads SET room_root = (SELECT MIN(room_root) FROM events WHERE room_nid = $1) WHERE room_nid = $1",
        "the state of the room",
    ),
    (
        "-- test::joined\nUPDATE room_heads SET joined = 7, invited = 0 WHERE room_nid = $1",
        "are counted as joined",
    ),
    (
        "-- test::order\nUPDATE room_heads SET room_order = 3 WHERE room_nid = $1",
        "the timeline ends at 3",
    ),
    (
        "-- test::depth\nUPDATE room_heads SET depth = 3 WHERE room_nid = $1",
        "the depth of the room",
    ),
    (
        "-- test::status\nUPDATE events SET status = 1 WHERE event_nid = (SELECT event_nid FROM events WHERE room_nid = $1 ORDER BY position LIMIT 1 OFFSET 20)",
        "should be Accepted",
    ),
    (
        "-- test::before\nUPDATE events SET state_before = 1 WHERE event_nid = (SELECT event_nid FROM events WHERE room_nid = $1 ORDER BY position LIMIT 1 OFFSET 30)",
        "state_before (node 1) is another state",
    ),
    (
        "-- test::after\nUPDATE events SET state_after = 1 WHERE event_nid = (SELECT event_nid FROM events WHERE room_nid = $1 ORDER BY position LIMIT 1 OFFSET 40)",
        "state_after (node 1) is another state",
    ),
    (
        "-- test::room_root\nUPDATE events SET room_root = 1, state_after = 1 WHERE event_nid = (SELECT event_nid FROM events WHERE room_nid = $1 ORDER BY position LIMIT 1 OFFSET 50)",
        "room_root (node 1) is another state",
    ),
    (
        "-- test::parents\nUPDATE events SET auth_parents = (SELECT auth_parents FROM events WHERE room_nid = $1 ORDER BY position LIMIT 1) WHERE event_nid = (SELECT event_nid FROM events WHERE room_nid = $1 AND state_key_nid IS NOT NULL ORDER BY position LIMIT 1 OFFSET 9)",
        "auth_parents are",
    ),
    (
        "-- test::member\nUPDATE memberships SET membership = 1 WHERE room_nid = $1 AND position = (SELECT MAX(position) FROM memberships WHERE room_nid = $1)",
        "is stored as Some(Join), and is Invite",
    ),
    (
        "-- test::node\nUPDATE state_nodes SET checksum = checksum + 1 WHERE room_nid = $1 AND node_id = (SELECT MAX(room_root) FROM events WHERE room_nid = $1)",
        "cannot be read",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_found_and_a_rebuild_sets_it_right() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        server.register(BOB).await;
        let room = lively_room(&server, RoomVersion::V11).await;
        let nid = info(&database.db, &room).await.nid;
        let refused = verify(&database.db, &room, true).await;
        assert!(matches!(refused, Err(VerifyError::MasterRuns)), "{refused:?}");
        server.stop().await;
        for (damage, said) in DAMAGES {
            let damaged = database.db.execute(Statement::new(damage, [Value::Int(nid.0)])).await;
            assert_eq!(damaged.expect("the database answers"), 1, "{damage}");
            let found = verify(&database.db, &room, false).await.expect("the room is there");
            let is_said = found
                .disagreements
                .iter()
                .any(|disagreement| disagreement.contains(said));
            assert!(is_said && found.written == 0, "{damage}: {found:?}");
            let rebuilt = verify(&database.db, &room, true).await.expect("nobody leads");
            assert!(rebuilt.written > 0, "{damage}: {rebuilt:?}");
            let again = verify(&database.db, &room, false).await.expect("the room is there");
            assert_eq!(again.total, 0, "{damage}: {again:?}");
        }
        // The room goes on, under a master and with its log in one piece.
        let server = Server::start(&database, "two").await;
        send(&server, &room, "m.room.topic", Some(""), json!({"topic": "after"})).await;
        server.join(&room, BOB).await.expect("he is invited");
        let verified = verify(&database.db, &room, false).await.expect("the room is there");
        assert_eq!(verified.total, 0, "{verified:?}");
        server.log().await;
        server.stop().await;
    }
}
