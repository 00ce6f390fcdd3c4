//! The same for what removes: purges of histories, and collections of the nodes of states. Both go on by steps, and nobody but the master's own tasks asks
//! for the next one.
//!
//! Both masters are killed once another step is done, so that what is half done lies still: it must be right by itself. A kill that found the work not begun
//! or over does not count.

use std::time::Duration;

use futures_util::future::join_all;
use plexus_core::ids::RoomNid;
use plexus_proto::{CollectNodes, Command, PurgeHistory, SendEvent, command::Kind};
use plexus_storage::{
    db::Database,
    removals::{self, RemovalStatus},
    tasks,
};
use plexus_testkit::dag::Dice;
use plexus_tests::{Cluster, PATIENCE, User, fresh_name};
use prost::Message as _;
use ruma::RoomId;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{super::stored::open_database, SPLIT, kills, verify};

/// How often somebody changes the topic of a room and then says something: five steps of a purge, and two thousand nodes of states that it leaves behind.
const ROUNDS: usize = 1_250;
/// Keys of the state of a room: enough that its nodes are more than leaves.
const KEYS: usize = 40;
/// Nodes of the state that stays, at most.
const NODES_LIVE_MAX: i64 = 50;
/// Commands that are sent at once.
const AT_ONCE: usize = 50;

/// How long after a step the kill comes, at most: about as long as the next one takes.
const MOMENT_MAX_MS: usize = 15;
/// How often the database is asked how far the work is.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Rooms for one kill that counts, at most.
const ROOMS_PER_KILL: usize = 4;

#[test]
fn a_master_killed_while_it_purges_loses_nothing() {
    SPLIT.run(async |cluster| survive(&cluster, Work::Purge).await);
}

#[test]
fn a_master_killed_while_it_collects_loses_nothing() {
    SPLIT.run(async |cluster| survive(&cluster, Work::Collection).await);
}

/// What is done in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Purge,
    Collection,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Progress {
    Begun,
    /// After a step: what it says of itself.
    Partly(String),
    Over,
}

/// A room with a past.
struct Room {
    id: String,
    nid: RoomNid,
    user: User,
    /// The last message: what the past ends with.
    last: String,
    /// The name of its purge.
    purge: String,
}

/// Makes rooms, and kills the masters while these are worked on, until that has happened often enough.
async fn survive(cluster: &Cluster, work: Work) {
    let db = open_database(cluster).await;
    let (wanted, mut landed, mut rooms) = (kills(), 0, 0);
    let mut dice = Dice::new(rand::random());
    while landed < wanted {
        rooms += 1;
        assert!(rooms <= wanted * ROOMS_PER_KILL, "{landed} of {wanted} kills hit");
        let room = Room::furnish(cluster, &db).await;
        if work == Work::Collection {
            room.begin(cluster, Work::Purge).await;
            let over = room
                .after(&db, Work::Purge, |progress| *progress == Progress::Over)
                .await;
            assert_eq!(over, Progress::Over);
        }
        room.begin(cluster, work).await;
        let mut seen = Progress::Begun;
        while landed < wanted && seen != Progress::Over {
            let found = room.after(&db, work, |progress| *progress != seen && *progress != Progress::Begun);
            if found.await == Progress::Over {
                break;
            }
            let moment = dice.below(MOMENT_MAX_MS).try_into().expect("it is short");
            sleep(Duration::from_millis(moment)).await;
            for master in ["master1", "master2"] {
                cluster.process(master).kill();
            }
            seen = room.progress(&db, work).await;
            landed += usize::from(seen != Progress::Over);
            eprintln!("{work:?}, room {rooms}: killed at {seen:?}, {landed} of {wanted} kills have hit");
            verify(cluster, &room.id).await;
            for master in ["master1", "master2"] {
                cluster.process(master).start_again();
            }
        }
        room.after(&db, work, |progress| *progress == Progress::Over).await;
        room.check(cluster, &db, work).await;
    }
    cluster.until_ready().await;
}

impl Room {
    /// A room that much has been said and changed in.
    async fn furnish(cluster: &Cluster, db: &Database) -> Self {
        let user = User::register(&cluster.http(), "alice").await;
        let id = user.create_public_room().await;
        let worker = cluster.worker();
        let send = |kind: &str, state_key: Option<String>, content: &Value| {
            let send = SendEvent {
                room_id: id.clone(),
                sender: user.id.clone(),
                kind: kind.to_owned(),
                state_key,
                content: content.to_string().into(),
                ..SendEvent::default()
            };
            worker.run(Kind::SendEvent(send))
        };
        for key in 0..KEYS {
            send("org.example.key", Some(key.to_string()), &json!({})).await;
        }
        let rounds: Vec<usize> = (0..ROUNDS).collect();
        for some in rounds.chunks(AT_ONCE) {
            join_all(some.iter().map(async |round| {
                send("m.room.topic", Some(String::new()), &json!({ "topic": round })).await;
                send("m.room.message", None, &json!({"body": "hello"})).await;
            }))
            .await;
        }
        let last = user.say(&id, "this stays").await;
        let sql = "-- test::room\nSELECT room_nid FROM rooms WHERE room_id = $1";
        let room_id = RoomId::parse(&id).expect("an id");
        let row = db.query_opt(sql, &[room_id.as_str().into()]).await.expect("it answers");
        let nid = row.expect("the room is there").int(0).expect("a number");
        Self {
            id,
            nid: RoomNid(nid),
            user,
            last,
            purge: fresh_name("purge"),
        }
    }

    async fn begin(&self, cluster: &Cluster, work: Work) {
        let kind = match work {
            Work::Purge => Kind::PurgeHistory(PurgeHistory {
                room_id: self.id.clone(),
                removal_id: self.purge.clone(),
                event_id: self.last.clone(),
                delete_local_events: true,
            }),
            Work::Collection => Kind::CollectNodes(CollectNodes {
                room_id: self.id.clone(),
                ..CollectNodes::default()
            }),
        };
        cluster.worker().run(kind).await;
    }

    /// How far the work is, as the database has it.
    async fn progress(&self, db: &Database, work: Work) -> Progress {
        match work {
            Work::Purge => {
                let removal = removals::get(db, &self.purge).await.expect("the database answers");
                let removal = removal.expect("it was begun");
                match (removal.status, purged(&removal.report)) {
                    (RemovalStatus::Complete, _) => Progress::Over,
                    (RemovalStatus::Active, 0) => Progress::Begun,
                    (RemovalStatus::Active, purged) => Progress::Partly(format!("{purged} events purged")),
                    (RemovalStatus::Failed, _) => panic!("{removal:?}"),
                }
            }
            Work::Collection => match self.collection(db).await {
                None => Progress::Over,
                Some(next) if next.limit == 0 => Progress::Begun,
                Some(next) => Progress::Partly(format!("event {}, node {}", next.after_event, next.below)),
            },
        }
    }

    /// The step of a collection that comes next, but for the one that the purge has asked for, which is a long time from now.
    async fn collection(&self, db: &Database) -> Option<CollectNodes> {
        let due = tasks::due(db, i64::MAX, i64::MAX).await.expect("the database answers");
        due.iter().find_map(|task| {
            let command = Command::decode(&*task.command).expect("a Command");
            let Some(Kind::CollectNodes(next)) = command.kind else {
                return None;
            };
            (next.room_id == self.id && next.grace_ms == 0).then_some(next)
        })
    }

    /// Waits until it is as far as is wanted, or over.
    async fn after(&self, db: &Database, work: Work, wanted: impl Fn(&Progress) -> bool) -> Progress {
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            let progress = self.progress(db, work).await;
            if progress == Progress::Over || wanted(&progress) {
                return progress;
            }
            assert!(Instant::now() < deadline, "{work:?} is still at {progress:?}");
            sleep(LOOK_EVERY).await;
        }
    }

    /// All of it was done, once, and the room is whole and goes on.
    async fn check(&self, cluster: &Cluster, db: &Database, work: Work) {
        verify(cluster, &self.id).await;
        let removal = removals::get(db, &self.purge).await.expect("the database answers");
        let purged = purged(&removal.expect("it was begun").report);
        assert_eq!(purged, u64::try_from(ROUNDS).expect("few rounds"));
        let sql = "-- test::timeline\nSELECT COUNT(*) FROM events WHERE room_nid = $1 AND room_order IS NOT NULL";
        assert_eq!(self.count(db, sql).await, 1, "only the last message is left");
        let nodes = self
            .count(
                db,
                "-- test::nodes\nSELECT COUNT(*) FROM state_nodes WHERE room_nid = $1",
            )
            .await;
        assert_eq!(nodes < NODES_LIVE_MAX, work == Work::Collection, "{nodes} nodes");
        self.user.say_stubbornly(&self.id, "and it goes on").await;
    }

    async fn count(&self, db: &Database, sql: &'static str) -> i64 {
        let rows = db.query(sql, &[self.nid.0.into()]).await.expect("the database answers");
        rows[0].int(0).expect("a number")
    }
}

/// How many events a purge says it has taken.
fn purged(report: &[u8]) -> u64 {
    let report: Value = serde_json::from_slice(report).expect("JSON");
    report["purged_events"].as_u64().expect("a number")
}
