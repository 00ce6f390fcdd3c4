//! What rooms that are hard cost: those who talk in other rooms meanwhile, and those who talk in them.
//!
//! `cargo bench -p plexus-master --bench rooms [-- WORD]` prints, on both engines, how long a send takes (the median, and what 95 of a hundred do not exceed)
//! and the ratios to what it takes otherwise: in another room while one of the recorded adversarial sets is being taken in, and in a room with a thousand
//! ends. What is compared takes turns, so that whatever else the machine does meanwhile falls on both. With a word, only what has it in its name is run.

#[expect(dead_code, reason = "the master's tests have more uses for their server")]
#[path = "../src/tests/bench_room.rs"]
mod bench_room;
#[path = "../src/tests/adversary/sets.rs"]
mod sets;

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bench_room::Server;
use plexus_core::room_version::RoomVersion;
use plexus_master::{Identity, Master, MasterConfig};
use plexus_proto::{ReceiveEvents, ReceivedEvent, command::Kind, event_outcome::Outcome};
use plexus_testkit::{
    TestDatabase,
    dag::{Attempt, CREATOR, Dag, Index},
    databases,
};
use serde_json::json;
use sets::Attack;
use tokio::{runtime::Builder, task::JoinSet};

const ALICE: &str = "@alice:example.org";

/// Events in one Command: a transaction of another server has at most fifty.
const EVENTS_PER_COMMAND: usize = 50;

/// Sends in another room before each Command of an attack, to compare with.
const SENDS_ALONE: usize = 30;

/// Sends in a room before anything is measured.
const SENDS_FIRST: usize = 100;

/// Ends of a room that has many, and how many states they have between them.
const ENDS: usize = 1_000;
const STATES: [usize; 2] = [1, 4];

/// Sends in such a room. Each continues ten ends, so there are many to the last of them.
const SENDS_AT_ENDS: usize = 60;
/// Rooms with one end, and as many with a thousand: each is new.
const ROOMS: usize = 5;

fn main() {
    let word = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let is_wanted = |what: &str| word.as_deref().is_none_or(|word| what.contains(word));
    let threads = Builder::new_multi_thread().enable_all().build();
    threads.expect("a runtime can be started").block_on(async {
        let attacks: [(&str, &dyn Fn() -> Attack); 5] = [
            ("wide forks", &|| sets::wide_fork(500)),
            ("deep power levels", &|| sets::deep_levels(300)),
            ("long access lists", &|| sets::long_acls(250)),
            ("memberships to and fro", &|| sets::ping_pong(300)),
            ("races of power levels", &|| sets::level_race(500, 50)),
        ];
        for (what, make) in attacks.into_iter().filter(|(what, _)| is_wanted(what)) {
            for database in databases().await {
                suffer(what, make(), &database).await;
            }
        }
        for states in STATES {
            let what = format!("{ENDS} ends with {states} states between them");
            if is_wanted(&what) {
                for database in databases().await {
                    compare_ends(&what, states, &database).await;
                }
            }
        }
    });
}

/// The median of some times, and what 95 of a hundred do not exceed.
#[derive(Clone, Copy, Debug)]
struct Spread {
    p50: Duration,
    p95: Duration,
}

impl Spread {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self {
            p50: times[times.len() / 2],
            p95: times[times.len() * 95 / 100],
        }
    }

    fn compare(self, what: &str, with: Self) {
        let ratio = |ours: Duration, theirs: Duration| ours.as_secs_f64() / theirs.as_secs_f64();
        println!(
            "{what}: p50 {:?} to {:?} ({:.2}x), p95 {:?} to {:?} ({:.2}x)",
            with.p50,
            self.p50,
            ratio(self.p50, with.p50),
            with.p95,
            self.p95,
            ratio(self.p95, with.p95),
        );
    }
}

/// Sends in another room while one is taken in that is made to be expensive.
async fn suffer(what: &str, Attack { dag, base }: Attack, database: &TestDatabase) {
    let server = Arc::new(Server::start(database, "one").await);
    server.register(ALICE).await;
    let other = server.create_room("other", ALICE, RoomVersion::V11).await;
    bring(&server, &dag, 0..base + 1).await;
    talk(&server, &other, |sent| sent < SENDS_FIRST).await;
    let (mut without, mut meanwhile, mut took) = (Vec::new(), Vec::new(), Duration::ZERO);
    let mut brought = base + 1;
    while brought < dag.events.len() {
        without.extend(talk(&server, &other, |sent| sent < SENDS_ALONE).await);
        let (is_over, started) = (Arc::new(AtomicBool::new(false)), Instant::now());
        // A task of its own: whoever brings the events must not be who keeps the other one waiting.
        let mut talking = JoinSet::new();
        talking.spawn({
            let (server, other, is_over) = (Arc::clone(&server), other.clone(), Arc::clone(&is_over));
            async move { talk(&server, &other, |_| !is_over.load(Ordering::Relaxed)).await }
        });
        let next = (brought + EVENTS_PER_COMMAND).min(dag.events.len());
        bring(&server, &dag, brought..next).await;
        took += started.elapsed();
        brought = next;
        is_over.store(true, Ordering::Relaxed);
        meanwhile.extend(talking.join_all().await.concat());
    }
    let what = format!(
        "{:?}, {what}, {} events in {took:?}, {} sends elsewhere",
        database.engine,
        dag.events.len() - base - 1,
        meanwhile.len()
    );
    Spread::of(meanwhile).compare(&what, Spread::of(without));
    let server = Arc::into_inner(server).expect("nobody else has it");
    server.stop().await;
}

/// Sends in rooms with one end and with many.
async fn compare_ends(what: &str, states: usize, database: &TestDatabase) {
    let server = Server::start(database, "one").await;
    server.register(ALICE).await;
    let (mut one, mut many) = (Vec::new(), Vec::new());
    for room in 0..ROOMS {
        let narrow = come_in(&server, &fresh(&format!("one-{room}"))).await;
        let wide = come_in(&server, &with_ends(&format!("many-{room}"), states)).await;
        for _ in 0..SENDS_AT_ENDS {
            one.push(say(&server, &narrow).await);
            many.push(say(&server, &wide).await);
        }
    }
    let what = format!("{:?}, {what}", database.engine);
    Spread::of(many).compare(&what, Spread::of(one));
    server.stop().await;
}

/// A room that a server of others has just made.
fn fresh(name: &str) -> Dag {
    Dag::named(&format!("!{name}:one.example"), RoomVersion::V11, 1, json!({}))
}

/// A room with many ends.
fn with_ends(name: &str, states: usize) -> Dag {
    let mut dag = fresh(name);
    let base = dag.last();
    let mut forks = vec![base];
    for state in 1..states {
        let topic = Attempt::state(CREATOR, "m.room.topic", "", json!({ "topic": state }));
        forks.push(dag.add(&[base], &topic));
    }
    for end in 0..ENDS {
        dag.add(&[forks[end % states]], &Attempt::message(CREATOR, "hello"));
    }
    dag
}

/// Brings a room, in which a user of ours then says the first thing: its id.
async fn come_in(server: &Server, dag: &Dag) -> String {
    bring(server, dag, 0..dag.events.len()).await;
    let room = dag.room_id().to_string();
    server.join(&room, ALICE).await.expect("the room is public");
    say(server, &room).await;
    room
}

/// Brings events in their order.
async fn bring(server: &Server, dag: &Dag, events: Range<Index>) {
    let events: Vec<Index> = events.collect();
    for some in events.chunks(EVENTS_PER_COMMAND) {
        let events = some.iter().map(|at| ReceivedEvent {
            json: dag.events[*at].body.json().to_owned().into(),
            ..ReceivedEvent::default()
        });
        let receive = ReceiveEvents {
            room_id: dag.room_id().to_string(),
            room_version: 11,
            events: events.collect(),
            before: None,
        };
        let id = format!("{:x}", rand::random::<u64>());
        let result = server.run(&id, Kind::ReceiveEvents(receive)).await;
        for outcome in result.expect("the Command runs").outcomes {
            let is_taken = matches!(outcome.outcome(), Outcome::Accepted | Outcome::SoftFailed);
            assert!(is_taken, "{outcome:?}");
        }
    }
}

/// Sends one message after the other while `goes_on` with so many sent, and at least one; how long each took.
async fn talk(server: &Server, room: &str, goes_on: impl Fn(usize) -> bool) -> Vec<Duration> {
    let mut took = Vec::new();
    while took.is_empty() || goes_on(took.len()) {
        took.push(say(server, room).await);
    }
    took
}

/// Sends a message; how long that took.
async fn say(server: &Server, room: &str) -> Duration {
    let id = format!("{:x}", rand::random::<u64>());
    let started = Instant::now();
    server.send(&id, room, ALICE, "hello").await.expect("a member may talk");
    started.elapsed()
}
