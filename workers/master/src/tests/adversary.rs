//! Rooms made to be expensive (`shared/HOSTILE.md`, row 5), brought to the master by another server: what each event may cost has a bound, and whoever
//! talks in another room meanwhile is answered as before.
//!
//! `PLEXUS_LONG=1` makes the rooms larger, and the figures that are printed worth reading (`--release`, `--nocapture`, one test at a time).

mod sets;

use std::{
    cell::Cell,
    fs,
    time::{Duration, Instant},
};

use plexus_core::{ids::RoomNid, room_version::RoomVersion, row::Row};
use plexus_proto::event_outcome::Outcome;
use plexus_storage::db::Value;
use plexus_testkit::{TestDatabase, dag::Index, databases};
use tokio::runtime::Builder;

use self::sets::Attack;
use super::{Server, graph::Visitor};

const ALICE: &str = "@alice:example.org";

/// Events in one Command: a transaction of another server has at most fifty.
const EVENTS_PER_COMMAND: usize = 10;

/// Sends in the other room before the attack, to compare with.
const SENDS_ALONE: usize = 30;

/// The unit of the processor time that Linux counts for a thread, in milliseconds.
const TICK_MS: u64 = 10;

/// How much longer a send in another room may take than it does alone: loose, since the machine may be busy with other tests. The long run prints both.
const SLOWDOWN_MAX: u32 = 20;

/// And this much in any case.
const LATENCY_MIN: Duration = Duration::from_millis(200);

/// What one event of an attack may cost, on the average of all.
struct Bounds {
    /// Rows of the log.
    log_rows: usize,
    /// Rows of tables: events, state nodes, memberships, state keys, users.
    table_rows: usize,
    /// Bytes of state nodes.
    node_bytes: usize,
    /// Processor time of the master's threads, of a build without optimization.
    cpu: Duration,
}

/// What an attack has cost.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    log_rows: usize,
    table_rows: usize,
    node_bytes: usize,
    cpu: Duration,
}

#[test]
fn wide_forks_are_cheap() {
    let bounds = Bounds {
        log_rows: 1,
        table_rows: 8,
        node_bytes: 300,
        cpu: Duration::from_millis(60),
    };
    hold("wide-forks", &bounds, || sets::wide_fork(larger_when_long(100, 500)));
}

#[test]
fn deep_chains_of_power_levels_are_cheap() {
    let bounds = Bounds {
        log_rows: 1,
        table_rows: 6,
        node_bytes: 100,
        cpu: Duration::from_millis(100),
    };
    hold("deep-levels", &bounds, || sets::deep_levels(larger_when_long(60, 300)));
}

#[test]
fn long_access_lists_are_cheap() {
    let bounds = Bounds {
        log_rows: 1,
        table_rows: 6,
        node_bytes: 100,
        cpu: Duration::from_millis(300),
    };
    hold("long-acls", &bounds, || sets::long_acls(larger_when_long(10, 50)));
}

#[test]
fn memberships_that_change_to_and_fro_are_cheap() {
    let bounds = Bounds {
        log_rows: 2,
        table_rows: 6,
        node_bytes: 100,
        cpu: Duration::from_millis(60),
    };
    hold("ping-pong", &bounds, || sets::ping_pong(larger_when_long(40, 300)));
}

/// Members whom every event of this attack throws out or brings back.
const VICTIMS: usize = 50;

#[test]
fn races_of_power_levels_cost_what_they_change() {
    let bounds = Bounds {
        log_rows: 2,
        table_rows: 2 * VICTIMS,
        node_bytes: 10 * VICTIMS,
        cpu: Duration::from_millis(100),
    };
    hold("level-race", &bounds, || {
        sets::level_race(larger_when_long(20, 100), VICTIMS)
    });
}

fn larger_when_long(usual: usize, long: usize) -> usize {
    if is_long() { long } else { usual }
}

fn is_long() -> bool {
    std::env::var_os("PLEXUS_LONG").is_some()
}

/// Brings an attack to a master on each engine. The master runs on threads of that name, which Linux counts the time of.
fn hold(name: &str, bounds: &Bounds, make: impl Fn() -> Attack) {
    let threads = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name(name)
        .thread_keep_alive(Duration::from_secs(3_600))
        .enable_all()
        .build();
    threads.expect("a runtime can be started").block_on(async {
        for database in databases().await {
            Box::pin(hold_on(name, bounds, make(), &database)).await;
        }
    });
}

async fn hold_on(name: &str, bounds: &Bounds, attack: Attack, database: &TestDatabase) {
    let server = Server::start(database, "one").await;
    server.register(ALICE).await;
    let other = server.create_room("other", ALICE, RoomVersion::V11).await;
    let Attack { dag, base } = attack;
    let events = dag.events.len() - base - 1;
    let mut visitor = Visitor::new(&server, dag);
    bring(&mut visitor, 0..base + 1).await;
    let room = visitor.room().await.nid;

    let mut alone = talk(&server, &other, "a", |sent| sent < SENDS_ALONE).await;
    let before = Cost::of(&server, room, name).await;
    let is_over = Cell::new(false);
    let attacking = async {
        bring(&mut visitor, base + 1..base + 1 + events).await;
        is_over.set(true);
    };
    let talking = talk(&server, &other, "b", |_| !is_over.get());
    let ((), mut during) = tokio::join!(attacking, talking);
    let cost = Cost::of(&server, room, name).await.minus(before).each(events);

    let (alone, during) = (spread(&mut alone), spread(&mut during));
    eprintln!(
        "{name} on {:?}: {events} events, each {cost:?}; sends elsewhere {alone:?} alone, {during:?} meanwhile (median, 95 %)",
        database.engine
    );
    assert!(cost.log_rows <= bounds.log_rows, "{} rows of the log", cost.log_rows);
    assert!(
        cost.table_rows <= bounds.table_rows,
        "{} rows of tables",
        cost.table_rows
    );
    assert!(
        cost.node_bytes <= bounds.node_bytes,
        "{} bytes of nodes",
        cost.node_bytes
    );
    assert!(is_long() || cost.cpu <= bounds.cpu, "{:?} of the processor", cost.cpu);
    let latency_max = LATENCY_MIN.max(alone.0 * SLOWDOWN_MAX);
    assert!(during.0 <= latency_max, "a send took {:?}", during.0);
    if !is_long() {
        visitor.check().await;
    }
    server.stop().await;
}

/// Brings events in their order.
async fn bring(visitor: &mut Visitor<'_>, events: std::ops::Range<Index>) {
    let events: Vec<Index> = events.collect();
    for some in events.chunks(EVENTS_PER_COMMAND) {
        for outcome in visitor.tell(some).await {
            assert!(
                matches!(outcome.outcome(), Outcome::Accepted | Outcome::SoftFailed),
                "{outcome:?}"
            );
        }
    }
}

/// Sends one message after the other while `goes_on` with so many sent, and at least one; how long each took.
async fn talk(server: &Server, room: &str, prefix: &str, goes_on: impl Fn(usize) -> bool) -> Vec<Duration> {
    let mut took = Vec::new();
    while took.is_empty() || goes_on(took.len()) {
        let started = Instant::now();
        let id = format!("{prefix}{}", took.len());
        server.send(&id, room, ALICE, "hello").await.expect("a member may talk");
        took.push(started.elapsed());
    }
    took
}

/// The median, and what 95 of a hundred do not exceed.
fn spread(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 95 / 100])
}

impl Cost {
    /// What there is now.
    async fn of(server: &Server, room: RoomNid, threads: &str) -> Self {
        let sql = "-- master::tests::adversary
            SELECT (SELECT COUNT(*) FROM events WHERE room_nid = $1) + (SELECT COUNT(*) FROM state_nodes WHERE room_nid = $1)
                    + (SELECT COUNT(*) FROM memberships WHERE room_nid = $1) + (SELECT COUNT(*) FROM state_keys) + (SELECT COUNT(*) FROM users),
                COALESCE((SELECT SUM(LENGTH(body)) FROM state_nodes WHERE room_nid = $1), 0)";
        let row = server.db.query_opt(sql, &[Value::Int(room.0)]).await.unwrap();
        let row = row.expect("there is always one");
        let count = |at| usize::try_from(row.int(at).unwrap()).unwrap();
        let log = server.log().await.into_iter().flat_map(|frame| frame.rows);
        Self {
            log_rows: log.filter(|row| is_of(row, room)).count(),
            table_rows: count(0),
            node_bytes: count(1),
            cpu: processor_time(threads),
        }
    }

    fn minus(self, before: Self) -> Self {
        Self {
            log_rows: self.log_rows - before.log_rows,
            table_rows: self.table_rows - before.table_rows,
            node_bytes: self.node_bytes - before.node_bytes,
            cpu: self.cpu.saturating_sub(before.cpu),
        }
    }

    /// Of each event, rounded up.
    fn each(self, events: usize) -> Self {
        Self {
            log_rows: self.log_rows.div_ceil(events),
            table_rows: self.table_rows.div_ceil(events),
            node_bytes: self.node_bytes.div_ceil(events),
            cpu: self.cpu / u32::try_from(events).expect("few events"),
        }
    }
}

fn is_of(row: &Row, room: RoomNid) -> bool {
    matches!(row, Row::Event(event) if event.room == room)
        || matches!(row, Row::State(state) if state.room == room)
        || matches!(row, Row::Unlisted { room: of, .. } if *of == room)
}

/// The time that the processor has spent on this process's threads of a name, where the system tells.
fn processor_time(name: &str) -> Duration {
    let Ok(threads) = fs::read_dir("/proc/self/task") else {
        return Duration::ZERO;
    };
    let mut ticks = 0;
    for thread in threads.flatten() {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        let Some((_, rest)) = stat.split_once(&format!("({name})")) else {
            continue;
        };
        // In user mode and in the kernel: fields 14 and 15 of the line, of which the name is the second.
        let fields = rest.split_whitespace().skip(11).take(2);
        ticks += fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
    }
    Duration::from_millis(ticks * TICK_MS)
}
