//! Fan-out: 100 members of one room wait in `/sync`, one of them sends; a delivery is a member's sync answer that holds
//! the event id the send was answered with, and its latency runs from the start of the send.
//!
//! Every delivery must come exactly once and in the same order to all; what is missing, twice or out of order is an error.

mod deliveries;

use std::{
    cell::{Cell, RefCell},
    hash::{BuildHasher, RandomState},
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::future::{join, join_all};
use tokio::{
    sync::Notify,
    time::{sleep, sleep_until, timeout},
};

use self::deliveries::{Arrival, Sent, agreed_order, judge};
use crate::{
    calls::send_message,
    http::{Connection, Head, LoadError},
    report::{Line, Samples, Window},
    sync::{SyncAnswer, sync_path, upload_filter},
    world::{User, World},
};

/// How long a waiting sync may stay open.
const LONG_POLL_MS: u64 = 30_000;
/// Timeline events asked for per answer.
const TIMELINE_LIMIT: usize = 100;
/// The sender is at most this far ahead of the slowest member, so that no answer has to be cut short.
const MAX_AHEAD: u32 = 50;
/// The same where another server takes up to 50 events at a time.
const MAX_AHEAD_ACROSS: u32 = 95;
/// How long after the last send deliveries still count.
const DRAIN: Duration = Duration::from_secs(15);
/// Time for the long polls to arrive at the server before the first send.
const SETTLE: Duration = Duration::from_millis(300);
/// A member whose syncs fail this often stops syncing.
const MAX_ERRORS_PER_MEMBER: u32 = 20;

/// One rhythm of sending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    name: &'static str,
    /// Sends per second; as fast as the window lets it without one.
    per_second: Option<u32>,
    /// Sends under way at once. With more than one the order is whatever all members agree on.
    in_flight: usize,
    /// Whether the members are a few users of another server.
    across: bool,
}

/// 100 deliveries a second with 100 members.
pub(crate) const SLOW: Pace = Pace {
    name: "fanout_100",
    per_second: Some(1),
    in_flight: 1,
    across: false,
};
/// 5,000 deliveries a second with 100 members.
pub(crate) const BUSY: Pace = Pace {
    name: "fanout_5000",
    per_second: Some(50),
    in_flight: 1,
    across: false,
};
/// As fast as it goes.
pub(crate) const FULL: Pace = Pace {
    name: "fanout_max",
    per_second: None,
    in_flight: 8,
    across: false,
};
/// From one server to another, with time in between.
pub(crate) const ACROSS: Pace = Pace {
    name: "federation_latency",
    per_second: Some(20),
    in_flight: 1,
    across: true,
};
/// From one server to another, as fast as it goes.
pub(crate) const ACROSS_FULL: Pace = Pace {
    name: "federation_max",
    per_second: None,
    in_flight: 16,
    across: true,
};

/// What the members and the sender share.
struct Board {
    room: String,
    hasher: RandomState,
    arrivals: RefCell<Vec<Arrival>>,
    /// Messages each member has been given so far.
    received: RefCell<Vec<u32>>,
    samples: RefCell<Samples>,
    progress: Notify,
    finished: Cell<bool>,
    finish: Notify,
}

struct Member {
    connection: Connection,
    head: Head,
    filter: String,
    since: String,
}

pub(crate) async fn run(world: &mut World, pace: Pace) -> Result<Line, LoadError> {
    let (room, users) = if pace.across {
        world.ensure_room_across().await?
    } else {
        let room = world.ensure_big_room().await?;
        (room, world.users[..world.settings.members].to_vec())
    };
    let members = join_all(users.iter().map(|user| prepare(world, user, &room, pace))).await;
    let members: Vec<Member> = members.into_iter().collect::<Result<_, _>>()?;
    let board = Board {
        room,
        hasher: RandomState::new(),
        arrivals: RefCell::default(),
        received: RefCell::new(vec![0; members.len()]),
        samples: RefCell::default(),
        progress: Notify::new(),
        finished: Cell::new(false),
        finish: Notify::new(),
    };
    let count = members.len();
    let watching = join_all(
        members
            .into_iter()
            .enumerate()
            .map(|(n, member)| watch(&board, n, member)),
    );
    let sending = async {
        sleep(SETTLE).await;
        let window = Window::open(&world.settings);
        let sent = send_all(&board, world, pace).await;
        board.finished.set(true);
        board.finish.notify_waiters();
        (window, sent)
    };
    let (_, (window, sent)) = join(watching, sending).await;
    let elapsed = elapsed(&board, &sent, pace);
    let mut samples = board.samples.take();
    let arrivals = board.arrivals.take();
    let sends = sent.len();
    let order = match pace.in_flight {
        1 => sent,
        _ => agreed_order(sent, &arrivals, count),
    };
    judge(&arrivals, &order, count, &mut samples);
    let rhythm = pace.per_second.map_or_else(
        || format!("as fast as it goes, {} in flight", pace.in_flight),
        |rate| format!("{rate} sends/s"),
    );
    let words = format!("delivery to {count} waiting members, one sender, {rhythm}, {sends} sends");
    Ok(window.close_at(elapsed, pace.name, words, samples))
}

async fn prepare(world: &World, user: &Rc<User>, room: &str, pace: Pace) -> Result<Member, LoadError> {
    let (mut other, mut connection) = if pace.across {
        (world.peer_connection()?, world.peer_connection()?)
    } else {
        (world.connection(), world.sync_connection())
    };
    let filter = upload_filter(&mut other, user, TIMELINE_LIMIT, Some(room)).await?;
    let body = connection
        .get(&user.head, &sync_path(&filter, None, world.fresh_timeout_ms()))
        .await?;
    let since = SyncAnswer::parse(&body)?.next_batch.into_owned();
    Ok(Member {
        connection,
        head: user.head.clone(),
        filter,
        since,
    })
}

/// One member's sync loop, until the sender is done.
async fn watch(board: &Board, number: usize, mut member: Member) {
    let mut errors = 0;
    while !board.finished.get() && errors < MAX_ERRORS_PER_MEMBER {
        let path = sync_path(&member.filter, Some(&member.since), LONG_POLL_MS);
        let answer = tokio::select! {
            answer = member.connection.get(&member.head, &path) => answer,
            () = board.finish.notified() => return,
        };
        match answer.and_then(|body| take_deliveries(board, number, &body)) {
            Ok(since) => member.since = since,
            Err(error) => {
                errors += 1;
                board.samples.borrow_mut().fail(&error);
            }
        }
    }
}

/// Notes what one answer delivered and returns the next token.
fn take_deliveries(board: &Board, member: usize, body: &[u8]) -> Result<String, LoadError> {
    let at = Instant::now();
    let answer = SyncAnswer::parse(body)?;
    if let Some(timeline) = answer.timeline(&board.room) {
        let mut arrivals = board.arrivals.borrow_mut();
        for event in timeline.events.iter().filter(|event| event.is_message()) {
            arrivals.push(Arrival {
                member,
                event: board.hasher.hash_one(&*event.event_id),
                at,
            });
            board.received.borrow_mut()[member] += 1;
        }
        board.progress.notify_waiters();
        if timeline.limited {
            board
                .samples
                .borrow_mut()
                .fail(&LoadError::Wrong("a waiting member got a limited timeline".to_owned()));
        }
    }
    Ok(answer.next_batch.into_owned())
}

/// Sends for the time of a scenario, then waits for what is still on its way.
async fn send_all(board: &Board, world: &World, pace: Pace) -> Vec<Sent> {
    let sent = RefCell::new(Vec::new());
    let started = Instant::now();
    join_all((0..pace.in_flight).map(|_| send_until(board, world, pace, started, &sent))).await;
    let sent = sent.into_inner();
    reached(board, narrow(sent.len())).await;
    sent
}

async fn send_until(board: &Board, world: &World, pace: Pace, started: Instant, sent: &RefCell<Vec<Sent>>) {
    let user = &world.users[0];
    let mut connection = world.connection();
    let until = started + Duration::from_secs_f64(world.settings.seconds);
    let ahead = if pace.across { MAX_AHEAD_ACROSS } else { MAX_AHEAD };
    while board.samples.borrow().errors() < MAX_ERRORS_PER_MEMBER {
        let count = narrow(sent.borrow().len());
        if let Some(rate) = pace.per_second {
            sleep_until((started + Duration::from_secs(1) / rate * count).into()).await;
        }
        if Instant::now() >= until || !reached(board, count.saturating_sub(ahead)).await {
            return;
        }
        let begun = Instant::now();
        match send_message(&mut connection, user, &board.room, &world.name()).await {
            Ok(event_id) => sent.borrow_mut().push(Sent {
                event: board.hasher.hash_one(event_id.as_str()),
                started: begun,
            }),
            Err(error) => board.samples.borrow_mut().fail(&error),
        }
    }
}

/// Counts beyond `u32` do not occur within the time of a scenario.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Waits until the slowest member was given `wanted` messages; false if that takes too long.
async fn reached(board: &Board, wanted: u32) -> bool {
    let there = async {
        while board.received.borrow().iter().any(|received| *received < wanted) {
            board.progress.notified().await;
        }
    };
    timeout(DRAIN, there).await.is_ok()
}

/// From the first send to the last delivery; not less than the time the sends were spread over.
fn elapsed(board: &Board, sent: &[Sent], pace: Pace) -> Duration {
    let Some(first) = sent.first() else {
        return Duration::ZERO;
    };
    let last = board
        .arrivals
        .borrow()
        .iter()
        .map(|arrival| arrival.at)
        .max()
        .unwrap_or(first.started);
    let taken = last.saturating_duration_since(first.started);
    let spread = |rate| Duration::from_secs(1) / rate * u32::try_from(sent.len()).unwrap_or(u32::MAX);
    pace.per_second.map_or(taken, |rate| taken.max(spread(rate)))
}
