//! Purges, deletions and collections: what is left of a room after them, also if the master is killed again and again on the way.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use plexus_core::{
    ids::{NodeId, RoomNid},
    room_version::RoomVersion,
    row::{EventStatus, Membership, ReceiptKind, Row},
};
use plexus_proto::{
    BlockRoom, CollectNodes, DeleteRoom, PurgeHistory, Register, SendEvent, SetAlias, SetReceipt,
    change_membership::Action, command::Kind,
};
use plexus_replication::MasterError;
use plexus_storage::{
    Store,
    db::{Database, Statement},
    events::{Direction, StoredEvent},
    nids::next_nids,
    removals::{self, Removal, RemovalStatus},
    rooms::RoomInfo,
};
use plexus_testkit::{databases, sqlite_database};
use ruma::{RoomAliasId, RoomId, UserId};
use serde_json::{Value, json};

use super::Server;

const ALICE: &str = "@alice:example.org";
const BOB: &str = "@bob:example.org";

/// Longest that a removal may take here.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often the master is killed on the way: few times, or as often as the long test wants it.
fn kills() -> u64 {
    if std::env::var_os("PLEXUS_LONG").is_some() {
        50
    } else {
        6
    }
}

async fn info(store: &Store, room_id: &str) -> Arc<RoomInfo> {
    let room_id = RoomId::parse(room_id).expect("an id");
    let room = store.room(&room_id).await.expect("the store answers");
    room.expect("the room is known")
}

/// Sends so many messages, some at a time; their ids come back in the order of the timeline.
async fn talk(server: &Server, room: &str, sender: &str, messages: usize) -> Vec<String> {
    let ids: Vec<usize> = (0..messages).collect();
    for some in ids.chunks(50) {
        let sent = some.iter().map(|id| async move {
            let id = format!("{}{id}", rand::random::<u32>());
            server
                .send(&id, room, sender, "hello")
                .await
                .expect("a member may talk")
        });
        join_all(sent).await;
    }
    let timeline = timeline(server.replica.store(), room).await;
    let said = timeline.iter().filter(|event| event.body.kind() == "m.room.message");
    said.map(|event| event.body.event_id().to_string()).collect()
}

async fn timeline(store: &Store, room: &str) -> Vec<Arc<StoredEvent>> {
    let room = info(store, room).await.nid;
    let (mut all, mut after) = (Vec::new(), i64::MIN);
    loop {
        let page = store.page(room, after, Direction::Forward, 1_000).await;
        let page = page.expect("the store answers");
        let Some(last) = page.last() else { return all };
        after = last.room_order.expect("it is in the timeline");
        all.extend(page);
    }
}

async fn set_topic(server: &Server, room: &str, topic: &str) -> String {
    let topic = SendEvent {
        room_id: room.to_owned(),
        sender: ALICE.to_owned(),
        kind: "m.room.topic".to_owned(),
        state_key: Some(String::new()),
        content: json!({"topic": topic}).to_string().into(),
        ..SendEvent::default()
    };
    let id = format!("t{}", rand::random::<u32>());
    let sent = server.run(&id, Kind::SendEvent(topic)).await.expect("she may");
    sent.event_id.expect("it has an id")
}

fn purge(room: &str, event: &str, delete_local_events: bool) -> Kind {
    Kind::PurgeHistory(PurgeHistory {
        room_id: room.to_owned(),
        removal_id: "purge".to_owned(),
        event_id: event.to_owned(),
        delete_local_events,
    })
}

fn deletion(room: &str) -> DeleteRoom {
    DeleteRoom {
        room_id: room.to_owned(),
        removal_id: "deletion".to_owned(),
        user_id: ALICE.to_owned(),
        purge: true,
        ..DeleteRoom::default()
    }
}

/// Waits until a removal has ended.
async fn ended(db: &Database, id: &str) -> Removal {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let removal = removals::get(db, id).await.expect("the database answers");
        match removal {
            Some(removal) if removal.status != RemovalStatus::Active => return removal,
            _ if Instant::now() >= deadline => panic!("{id} does not end: {removal:?}"),
            _ => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}

/// Lets a removal come to its end under masters that are killed one after the other.
async fn kill_until_ended(mut server: Server, database: &plexus_testkit::TestDatabase, id: &str) -> Server {
    for life in 0..kills() {
        let removal = removals::get(&database.db, id).await.expect("the database answers");
        if removal.is_some_and(|removal| removal.status != RemovalStatus::Active) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1 + life * 3 % 17)).await;
        server.kill();
        server = Server::start(database, "one").await;
    }
    assert_eq!(ended(&database.db, id).await.status, RemovalStatus::Complete);
    server
}

async fn count(db: &Database, sql: &'static str, room: RoomNid) -> i64 {
    let rows = db.query(sql, &[room.0.into()]).await.expect("the database answers");
    rows[0].int(0).expect("a number")
}

async fn nodes(db: &Database, room: RoomNid) -> i64 {
    count(
        db,
        "-- test::nodes\nSELECT COUNT(*) FROM state_nodes WHERE room_nid = $1",
        room,
    )
    .await
}

/// Reads everything that is left of a room with nothing in memory: every state that an event names, and every event that a state names.
async fn read_all(db: &Database, room: &str) -> Vec<Arc<StoredEvent>> {
    let store = Store::new(db.clone());
    let nid = info(&store, room).await.nid;
    let timeline = timeline(&store, room).await;
    for event in &timeline {
        for root in [event.state_before, event.state_after, event.room_root] {
            let state = store.state_events(nid, root).await;
            state.expect("states that stay are whole");
        }
    }
    timeline
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_takes_the_past_and_leaves_the_state() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        server.register(BOB).await;
        let room = server.create_room("room", ALICE, RoomVersion::V11).await;
        server.join(&room, BOB).await.expect("it is public");
        let old_topic = set_topic(&server, &room, "old").await;
        let said = talk(&server, &room, BOB, 20).await;
        let read = SetReceipt {
            room_id: room.clone(),
            user_id: ALICE.to_owned(),
            kind: ReceiptKind::Read.code(),
            thread: None,
            event_id: said[3].clone(),
        };
        server.run("read", Kind::SetReceipt(read)).await.expect("she may read");
        let redact = SendEvent {
            room_id: room.clone(),
            sender: ALICE.to_owned(),
            kind: "m.room.redaction".to_owned(),
            content: json!({"redacts": old_topic}).to_string().into(),
            redacts: Some(old_topic.clone()),
            ..SendEvent::default()
        };
        let redaction = server.run("redact", Kind::SendEvent(redact)).await.expect("she may");
        let later = talk(&server, &room, BOB, 10).await;
        let point = &later[25];
        server
            .run("purge", purge(&room, point, true))
            .await
            .expect("there is such an event");
        let removal = ended(&server.db, "purge").await;
        assert_eq!(removal.status, RemovalStatus::Complete, "{removal:?}");
        assert_eq!(&*removal.report, br#"{"purged_events":24}"#);

        let left = read_all(&server.db, &room).await;
        assert_eq!(left.first().expect("some are left").body.event_id(), point.as_str());
        assert_eq!(left.len(), 5);
        let store = server.replica.store();
        let nid = info(store, &room).await.nid;
        for (id, is_kept) in [
            (&said[0], false),
            (&said[3], true),
            (&old_topic, true),
            (redaction.event_id.as_ref().expect("an id"), true),
            (&later[24], false),
            (point, true),
        ] {
            let id = ruma::EventId::parse(id.as_str()).expect("an id");
            let known = store.known_event(nid, &id).await.expect("the store answers");
            assert_eq!(known.is_some(), is_kept, "{id}");
            if let Some(known) = known.filter(|known| known.body.event_id() != point.as_str()) {
                assert_eq!((known.status, known.room_order), (EventStatus::Outlier, None), "{id}");
            }
        }
        // The room goes on.
        talk(&server, &room, BOB, 1).await;
        set_topic(&server, &room, "new").await;
        assert_eq!(read_all(&server.db, &room).await.len(), 7);
        let members = store.room_members(nid).await.expect("the store answers");
        assert_eq!(members.joined(), 2);
        server.log().await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_local_users_said_stays_unless_it_is_asked_for() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        let room = server.create_room("room", ALICE, RoomVersion::V12).await;
        let said = talk(&server, &room, ALICE, 5).await;
        server.run("p", purge(&room, &said[4], false)).await.expect("accepted");
        ended(&server.db, "purge").await;
        let store = server.replica.store();
        let nid = info(store, &room).await.nid;
        assert_eq!(timeline(store, &room).await.len(), 1);
        let id = ruma::EventId::parse(said[0].as_str()).expect("an id");
        let kept = store.known_event(nid, &id).await.expect("the store answers");
        assert_eq!(kept.map(|kept| kept.status), Some(EventStatus::Outlier));
        for (event, status) in [("$nowhere", 404), (&*said[0], 400)] {
            let other = PurgeHistory {
                room_id: room.clone(),
                removal_id: "other".to_owned(),
                event_id: event.to_owned(),
                delete_local_events: true,
            };
            let refused = server.run(&format!("o{status}"), Kind::PurgeHistory(other)).await;
            assert!(
                matches!(refused, Err(MasterError::Matrix { status: given, .. }) if given == status),
                "{event}: {refused:?}"
            );
        }
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_survives_kills() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        let room = server.create_room("room", ALICE, RoomVersion::V11).await;
        let said = talk(&server, &room, ALICE, 1_600).await;
        server
            .run("p", purge(&room, &said[1_599], true))
            .await
            .expect("accepted");
        let server = kill_until_ended(server, &database, "purge").await;
        assert_eq!(read_all(&server.db, &room).await.len(), 1);
        let removal = ended(&server.db, "purge").await;
        assert_eq!(&*removal.report, br#"{"purged_events":1599}"#);
        talk(&server, &room, ALICE, 1).await;
        assert_eq!(read_all(&server.db, &room).await.len(), 2);
        server.log().await;
        server.stop().await;
    }
}

/// A room with everything that one can have, which nobody else has.
async fn furnished_room(server: &Server) -> String {
    server.register(ALICE).await;
    server.register(BOB).await;
    let room = server.create_room("room", ALICE, RoomVersion::V11).await;
    server.join(&room, BOB).await.expect("it is public");
    let said = talk(server, &room, BOB, 700).await;
    let read = SetReceipt {
        room_id: room.clone(),
        user_id: ALICE.to_owned(),
        kind: ReceiptKind::Read.code(),
        thread: None,
        event_id: said[3].clone(),
    };
    server.run("read", Kind::SetReceipt(read)).await.expect("she may read");
    let alias = SetAlias {
        alias: "#door:example.org".to_owned(),
        room_id: room.clone(),
        creator: ALICE.to_owned(),
    };
    server.run("alias", Kind::SetAlias(alias)).await.expect("it is free");
    let data = plexus_proto::SetAccountData {
        user_id: ALICE.to_owned(),
        room_id: Some(room.clone()),
        kind: "m.tag".to_owned(),
        content: json!({"tags": {"u.work": {}}}).to_string().into(),
    };
    server
        .run("tag", Kind::SetAccountData(data))
        .await
        .expect("she is in it");
    room
}

/// Everything that may be left of a room, but for what says that it was there.
async fn remains(db: &Database, room: RoomNid) -> Vec<(&'static str, i64)> {
    let mut found = Vec::new();
    for (name, sql) in [
        (
            "events",
            "-- test::events\nSELECT COUNT(*) FROM events WHERE room_nid = $1",
        ),
        (
            "nodes",
            "-- test::nodes\nSELECT COUNT(*) FROM state_nodes WHERE room_nid = $1",
        ),
        (
            "receipts",
            "-- test::receipts\nSELECT COUNT(*) FROM receipts WHERE room_nid = $1",
        ),
        (
            "relations",
            "-- test::relations\nSELECT COUNT(*) FROM relations WHERE room_nid = $1",
        ),
        (
            "highlights",
            "-- test::highlights\nSELECT COUNT(*) FROM highlights WHERE room_nid = $1",
        ),
        (
            "account_data",
            "-- test::data\nSELECT COUNT(*) FROM account_data WHERE room_nid = $1",
        ),
        (
            "aliases",
            "-- test::aliases\nSELECT COUNT(*) FROM room_aliases WHERE room_nid = $1",
        ),
        (
            "joined",
            "-- test::joined\nSELECT joined FROM room_heads WHERE room_nid = $1",
        ),
    ] {
        let rows = count(db, sql, room).await;
        if rows > 0 {
            found.push((name, rows));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_survives_kills_and_leaves_that_users_have_left() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        let room = furnished_room(&server).await;
        let nid = info(server.replica.store(), &room).await.nid;
        let greatest = next_nids(&server.db).await.expect("the database answers").event;
        server
            .run("d", Kind::DeleteRoom(deletion(&room)))
            .await
            .expect("there is such a room");
        let server = kill_until_ended(server, &database, "deletion").await;
        assert_eq!(remains(&server.db, nid).await, []);
        let removal = ended(&server.db, "deletion").await;
        let report: Value = serde_json::from_slice(&removal.report).expect("JSON");
        let kicked: BTreeSet<&str> = report["kicked_users"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(kicked, BTreeSet::from([ALICE, BOB]), "{report}");
        assert_eq!(report["local_aliases"], json!(["#door:example.org"]));

        let store = server.replica.store();
        for user in [ALICE, BOB] {
            let user_id = UserId::parse(user).expect("an id");
            let user = store.user_nid(&user_id).await.expect("the store answers");
            let rooms = store.user_rooms(user.expect("he is there")).await;
            let member = rooms.expect("the store answers").get(nid).expect("he has been there");
            assert_eq!((member.membership, member.forgotten), (Membership::Leave, true));
        }
        let members = store.room_members(nid).await.expect("the store answers");
        assert_eq!(members.joined(), 0);
        // It is as if there were no such room, and nothing that it had is given anybody else.
        for refused in [
            server.send("x", &room, ALICE, "anybody?").await.map(|_| ()),
            server.join(&room, BOB).await.map(|_| ()),
        ] {
            assert!(
                matches!(refused, Err(MasterError::Matrix { status: 403, .. })),
                "{refused:?}"
            );
        }
        assert!(next_nids(&server.db).await.expect("the database answers").event >= greatest);
        server.stop().await;
        let server = Server::start(&database, "one").await;
        let other = server.create_room("other", ALICE, RoomVersion::V11).await;
        let first = &timeline(server.replica.store(), &other).await[0];
        assert!(first.nid.0 >= greatest && first.room != nid, "{first:?}");
        // Once more finds nothing to do.
        let again = DeleteRoom {
            removal_id: "again".to_owned(),
            ..deletion(&room)
        };
        server
            .run("a", Kind::DeleteRoom(again))
            .await
            .expect("the room is known");
        assert_eq!(ended(&server.db, "again").await.status, RemovalStatus::Complete);
        let alias = RoomAliasId::parse("#door:example.org").expect("an alias");
        let stored = server.replica.store().room_alias(&alias).await;
        assert_eq!(stored.expect("the store answers"), None);
        server.log().await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_were_in_a_room_come_into_the_one_that_replaces_it() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        let room = furnished_room(&server).await;
        let invited = "@carol:example.org";
        server.register(invited).await;
        server
            .change_membership(&room, ALICE, invited, Action::Invite)
            .await
            .expect("she may");
        let admin = "@root:example.org";
        let register = Register {
            user_id: admin.to_owned(),
            admin: true,
            ..Register::default()
        };
        server
            .run("root", Kind::Register(register))
            .await
            .expect("the name is free");
        let new = server.create_room("new", admin, RoomVersion::V11).await;
        let shutdown = DeleteRoom {
            user_id: admin.to_owned(),
            block: true,
            purge: false,
            new_room_id: Some(new.clone()),
            ..deletion(&room)
        };
        server
            .run("d", Kind::DeleteRoom(shutdown))
            .await
            .expect("there is such a room");
        assert_eq!(ended(&server.db, "deletion").await.status, RemovalStatus::Complete);
        let store = server.replica.store();
        let (old, new_nid) = (info(store, &room).await.nid, info(store, &new).await.nid);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let members = store.room_members(new_nid).await.expect("the store answers");
            if members.joined() == 3 {
                break;
            }
            assert!(Instant::now() < deadline, "{members:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(store.room_members(old).await.expect("the store answers").joined(), 0);
        let alias = RoomAliasId::parse("#door:example.org").expect("an alias");
        let stored = store.room_alias(&alias).await.expect("the store answers");
        assert_eq!(stored.map(|stored| stored.room), Some(new_nid));
        // What was said is still there, and nobody comes in.
        assert!(timeline(store, &room).await.len() > 700);
        let refused = server.join(&room, BOB).await;
        assert!(
            matches!(&refused, Err(MasterError::Matrix { error, .. }) if error.contains("blocked")),
            "{refused:?}"
        );
        let unblock = BlockRoom {
            room_id: room.clone(),
            user_id: admin.to_owned(),
            block: false,
        };
        server.run("u", Kind::BlockRoom(unblock)).await.expect("it may be");
        server.join(&room, BOB).await.expect("the room is open again");
        server.stop().await;
    }
}

/// A room whose past has states that nothing refers to once it is purged; its number of nodes comes back.
async fn room_with_dead_nodes(server: &Server) -> (String, i64) {
    server.register(ALICE).await;
    let room = server.create_room("room", ALICE, RoomVersion::V11).await;
    for topic in 0..60 {
        set_topic(server, &room, &topic.to_string()).await;
    }
    let said = talk(server, &room, ALICE, 2).await;
    server.run("p", purge(&room, &said[1], true)).await.expect("accepted");
    ended(&server.db, "purge").await;
    let nid = info(server.replica.store(), &room).await.nid;
    (room, nodes(&server.db, nid).await)
}

/// Collects a room's nodes; returns once nothing is left to do.
async fn collect(server: &Server, room: &str) {
    let begin = CollectNodes {
        room_id: room.to_owned(),
        ..CollectNodes::default()
    };
    let id = format!("g{}", rand::random::<u32>());
    server
        .run(&id, Kind::CollectNodes(begin))
        .await
        .expect("the room is there");
    let deadline = Instant::now() + PATIENCE;
    let sql = "-- test::tasks\nSELECT COUNT(*) FROM tasks WHERE due_ms <= $1";
    let soon = i64::MAX / 2;
    loop {
        // The collection after the grace stays.
        let rows = server
            .db
            .query(sql, &[soon.into()])
            .await
            .expect("the database answers");
        if rows[0].int(0).expect("a number") <= 1 {
            return;
        }
        assert!(Instant::now() < deadline, "the collection does not end");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_go_that_nothing_refers_to() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        let (room, before) = room_with_dead_nodes(&server).await;
        let nid = info(server.replica.store(), &room).await.nid;
        assert!(before > 60, "{before}");
        // After a purge there is a grace.
        let early = CollectNodes {
            room_id: room.clone(),
            grace_ms: i64::MAX / 4,
            ..CollectNodes::default()
        };
        server
            .run("early", Kind::CollectNodes(early))
            .await
            .expect("the room is there");
        assert_eq!(nodes(&server.db, nid).await, before);
        collect(&server, &room).await;
        let after = nodes(&server.db, nid).await;
        assert!(after < 10, "{after}");
        read_all(&server.db, &room).await;
        // The room goes on from the nodes that are left, and a second time finds nothing.
        set_topic(&server, &room, "after").await;
        let grown = nodes(&server.db, nid).await;
        collect(&server, &room).await;
        assert_eq!(nodes(&server.db, nid).await, grown);
        read_all(&server.db, &room).await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_survives_kills() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        let (room, _) = room_with_dead_nodes(&server).await;
        let nid = info(server.replica.store(), &room).await.nid;
        let begin = CollectNodes {
            room_id: room.clone(),
            ..CollectNodes::default()
        };
        server
            .run("begin", Kind::CollectNodes(begin))
            .await
            .expect("the room is there");
        let mut server = server;
        for life in 0..kills() {
            tokio::time::sleep(Duration::from_millis(life % 5)).await;
            server.kill();
            server = Server::start(&database, "one").await;
            talk(&server, &room, ALICE, 1).await;
            set_topic(&server, &room, &life.to_string()).await;
        }
        read_all(&server.db, &room).await;
        collect(&server, &room).await;
        let left = nodes(&server.db, nid).await;
        read_all(&server.db, &room).await;
        let most = 20 + 4 * i64::try_from(kills()).expect("small");
        assert!(left < most, "{left}");
        server.stop().await;
    }
}

/// A damaged node hides what it refers to: nothing that is older may be deleted.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_27_damage_is_no_reason_to_delete() {
    for missing in [false, true] {
        let database = sqlite_database().await;
        let server = Server::start(&database, "one").await;
        let (room, before) = room_with_dead_nodes(&server).await;
        let info = info(server.replica.store(), &room).await;
        let root = server.replica.store().room_root_at(info.nid, i64::MAX).await;
        let NodeId(root) = root.expect("the store answers").expect("it has a state");
        let damage = if missing {
            "-- test::lose\nDELETE FROM state_nodes WHERE room_nid = $1 AND node_id = $2"
        } else {
            "-- test::damage\nUPDATE state_nodes SET checksum = checksum + 1 WHERE room_nid = $1 AND node_id = $2"
        };
        let damage = Statement::new(damage, [info.nid.0.into(), root.into()]).expecting(1);
        server.db.execute(damage).await.expect("the database answers");
        collect(&server, &room).await;
        let left = nodes(&server.db, info.nid).await;
        assert_eq!(
            left,
            before - i64::from(missing),
            "the newest node is the one that is damaged"
        );
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_purged_event_is_told_once() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        let room = server.create_room("room", ALICE, RoomVersion::V11).await;
        let said = talk(&server, &room, ALICE, 600).await;
        let all: BTreeSet<i64> = timeline(server.replica.store(), &room)
            .await
            .iter()
            .map(|event| event.nid.0)
            .collect();
        server.run("p", purge(&room, &said[599], true)).await.expect("accepted");
        ended(&server.db, "purge").await;
        let mut told = Vec::new();
        for row in server.log().await.into_iter().flat_map(|frame| frame.rows) {
            if let Row::Purged { events, whole, .. } = row {
                assert!(!whole);
                told.extend(events.iter().map(|event| event.0));
            }
        }
        assert_eq!(told.len(), all.len() - 1);
        assert!(
            told.iter().collect::<BTreeSet<_>>().len() == told.len() && told.iter().all(|event| all.contains(event))
        );
        server.stop().await;
    }
}
