//! Purges, deletions and collections: what is left of a room after them, also if the master is killed again and again on the way.

mod history;
mod nodes;
mod rooms;

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
