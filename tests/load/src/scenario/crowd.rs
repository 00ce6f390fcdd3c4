//! Joining a large room of the server on the other side, while somebody of the joining server goes on writing elsewhere.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::future::join;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::sleep;

use crate::{
    calls::{create_room, join_room_via, register_by_dummy, send_message},
    http::{Connection, LoadError, encode, parse},
    process,
    report::{Line, Samples, Window},
    world::{User, World},
};

/// How often the joining server is asked whether it knows all members: each answer holds them all.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How often its memory is read.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a room may take to be complete.
const LIMIT: Duration = Duration::from_secs(300);
/// A writer that fails this often stops.
const MAX_ERRORS: u32 = 50;

#[derive(Deserialize)]
struct Joined {
    joined: Map<String, Value>,
}

/// Seconds from the begin of the join.
struct Times {
    /// Until it is answered and a message of who has joined is accepted.
    usable: f64,
    /// Until all members are known.
    complete: f64,
}

/// The line is about messages elsewhere during the join; how long this took and what memory it took are its figures.
pub(crate) async fn join_crowd(world: &mut World) -> Result<Line, LoadError> {
    let room = world.make_crowded_room().await?;
    let (_, server) = world.users[0].id.split_once(':').unwrap_or_default();
    let mut peer = world.peer_connection()?;
    let writer = Rc::new(register_by_dummy(&mut peer, &world.name()).await?);
    let newcomer = register_by_dummy(&mut peer, &world.name()).await?;
    let elsewhere = create_room(&mut peer, &writer).await?;
    let pids = &world.settings.pids;

    let quiet_window = Window::open(&world.settings);
    let quiet_done = Cell::new(false);
    let quiet = join(write_until(world, &writer, &elsewhere, &quiet_done), async {
        sleep(Duration::from_secs_f64(world.settings.seconds)).await;
        quiet_done.set(true);
    });
    let quiet = quiet_window.close("quiet", "", quiet.await.0?);

    let before_mb = process::usage(pids).rss_mb;
    let done = Cell::new(false);
    let window = Window::open(&world.settings);
    let joining = async {
        let times = enter(&mut peer, world, &newcomer, &room, server).await;
        done.set(true);
        times
    };
    let watching = join(joining, largest(pids, &done));
    let (samples, (times, largest_mb)) = join(write_until(world, &writer, &elsewhere, &done), watching).await;
    let (samples, times) = (samples?, times?);
    let words = format!(
        "a message elsewhere, while a room of {} members is joined",
        world.settings.crowd
    );
    let line = window.close("federation_join", words, samples);
    Ok(line
        .with("usable_s", times.usable)
        .with("complete_s", times.complete)
        .with("memory_growth_mb", largest_mb - before_mb)
        .with("quiet_p50_ms", quiet.p50_ms)
        .with("quiet_p95_ms", quiet.p95_ms)
        .with("quiet_max_ms", quiet.max_ms))
}

/// Joins, writes, and waits until all members are known.
async fn enter(
    connection: &mut Connection,
    world: &World,
    user: &User,
    room: &str,
    server: &str,
) -> Result<Times, LoadError> {
    let started = Instant::now();
    join_room_via(connection, user, room, server).await?;
    send_message(connection, user, room, &world.name()).await?;
    let usable = started.elapsed().as_secs_f64();
    eprintln!("usable after {usable:.2} s");
    let path = format!("/_matrix/client/v3/rooms/{}/joined_members", encode(room));
    // Who has joined is one more.
    loop {
        // A server may keep whoever asks waiting for a while, and then say that it does not know yet.
        let known = count_members(connection, user, &path).await;
        if known.as_ref().is_ok_and(|known| *known > world.settings.crowd) {
            break;
        }
        if started.elapsed() > LIMIT {
            return Err(LoadError::Wrong(format!("after {LIMIT:?} the members are {known:?}")));
        }
        sleep(ASK_EVERY).await;
    }
    let complete = started.elapsed().as_secs_f64();
    Ok(Times { usable, complete })
}

async fn count_members(connection: &mut Connection, user: &User, path: &str) -> Result<usize, LoadError> {
    let body = connection.get(&user.head, path).await?;
    Ok(parse::<Joined>(&body)?.joined.len())
}

/// Writes one message after the other.
async fn write_until(world: &World, user: &User, room: &str, done: &Cell<bool>) -> Result<Samples, LoadError> {
    let mut connection = world.peer_connection()?;
    let mut samples = Samples::default();
    while !done.get() && samples.errors() < MAX_ERRORS {
        let started = Instant::now();
        let sent = send_message(&mut connection, user, room, &world.name()).await;
        samples.take(started, sent.map(drop));
    }
    Ok(samples)
}

/// The most memory that the processes have meanwhile.
async fn largest(pids: &[u32], done: &Cell<bool>) -> f64 {
    let mut largest_mb = 0.0_f64;
    while !done.get() {
        largest_mb = largest_mb.max(process::usage(pids).rss_mb);
        sleep(LOOK_EVERY).await;
    }
    largest_mb
}
