//! Fan-out: 100 members of one room wait in `/sync`, one of them sends; a delivery is a member's sync answer that holds
//! the event id the send was answered with, and its latency runs from the start of the send.
//!
//! Every delivery must come exactly once and in the order of the sends; what is missing, twice or out of order is an error.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::future::{join, join_all};
use tokio::{
    sync::Notify,
    time::{sleep, sleep_until, timeout},
};

use crate::{
    http::{Connection, Head, LoadError},
    report::{Line, Samples, Window},
    sync::{SyncAnswer, sync_path, upload_filter},
    world::{User, World, send_message},
};

/// How long a waiting sync may stay open.
const LONG_POLL_MS: u64 = 30_000;
/// Timeline events asked for per answer.
const TIMELINE_LIMIT: usize = 100;
/// The sender is at most this far ahead of the slowest member, so that no answer has to be cut short.
const MAX_AHEAD: u32 = 50;
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
}

/// 100 deliveries a second with 100 members.
pub(crate) const SLOW: Pace = Pace {
    name: "fanout_100",
    per_second: Some(1),
};
/// 5,000 deliveries a second with 100 members.
pub(crate) const BUSY: Pace = Pace {
    name: "fanout_5000",
    per_second: Some(50),
};
/// As fast as it goes.
pub(crate) const FULL: Pace = Pace {
    name: "fanout_max",
    per_second: None,
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

struct Arrival {
    member: usize,
    event: u64,
    at: Instant,
}

struct Member {
    connection: Connection,
    head: Head,
    filter: String,
    since: String,
}

struct Sent {
    event: u64,
    started: Instant,
}

pub(crate) async fn run(world: &mut World, pace: Pace) -> Result<Line, LoadError> {
    let room = world.ensure_big_room().await?;
    let users = &world.users[..world.settings.members];
    let members = join_all(users.iter().map(|user| prepare(world, user, &room))).await;
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
    judge(&board, &sent, count, &mut samples);
    let rhythm = pace
        .per_second
        .map_or("as fast as it goes".to_owned(), |rate| {
            format!("{rate} sends/s")
        });
    let words = format!(
        "delivery to {count} waiting members, one sender, {rhythm}, {} sends",
        sent.len()
    );
    Ok(window.close_at(elapsed, pace.name, words, samples))
}

async fn prepare(world: &World, user: &Rc<User>, room: &str) -> Result<Member, LoadError> {
    let filter = upload_filter(&mut world.connection(), user, TIMELINE_LIMIT, Some(room)).await?;
    let mut connection = world.sync_connection();
    let body = connection
        .get(
            &user.head,
            &sync_path(&filter, None, world.fresh_timeout_ms()),
        )
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
        board.progress.notify_one();
        if timeline.limited {
            board.samples.borrow_mut().fail(&LoadError::Wrong(
                "a waiting member got a limited timeline".to_owned(),
            ));
        }
    }
    Ok(answer.next_batch.into_owned())
}

/// Sends for the time of a scenario, then waits for what is still on its way.
async fn send_all(board: &Board, world: &World, pace: Pace) -> Vec<Sent> {
    let user = &world.users[0];
    let mut connection = world.connection();
    let mut sent: Vec<Sent> = Vec::new();
    let started = Instant::now();
    let until = started + Duration::from_secs_f64(world.settings.seconds);
    let mut count = 0;
    loop {
        if let Some(rate) = pace.per_second {
            sleep_until((started + Duration::from_secs(1) / rate * count).into()).await;
        }
        if Instant::now() >= until || !reached(board, count.saturating_sub(MAX_AHEAD)).await {
            break;
        }
        let begun = Instant::now();
        match send_message(&mut connection, user, &board.room, &world.name()).await {
            Ok(event_id) => sent.push(Sent {
                event: board.hasher.hash_one(event_id.as_str()),
                started: begun,
            }),
            Err(error) => {
                board.samples.borrow_mut().fail(&error);
                if board.samples.borrow().errors() >= MAX_ERRORS_PER_MEMBER {
                    break;
                }
            }
        }
        count = u32::try_from(sent.len()).unwrap_or(u32::MAX);
    }
    reached(board, count).await;
    sent
}

/// Waits until the slowest member was given `wanted` messages; false if that takes too long.
async fn reached(board: &Board, wanted: u32) -> bool {
    let there = async {
        while board
            .received
            .borrow()
            .iter()
            .any(|received| *received < wanted)
        {
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
    let spread =
        |rate| Duration::from_secs(1) / rate * u32::try_from(sent.len()).unwrap_or(u32::MAX);
    pace.per_second
        .map_or(taken, |rate| taken.max(spread(rate)))
}

/// Turns arrivals into samples, and holds each member's sequence against what was sent.
fn judge(board: &Board, sent: &[Sent], members: usize, samples: &mut Samples) {
    let order: HashMap<u64, usize> = sent
        .iter()
        .enumerate()
        .map(|(n, sent)| (sent.event, n))
        .collect();
    let mut given = vec![Vec::new(); members];
    let mut unknown = 0;
    for arrival in board.arrivals.borrow().iter() {
        match order.get(&arrival.event) {
            Some(n) => given[arrival.member].push((*n, arrival.at)),
            None => unknown += 1,
        }
    }
    let (mut missing, mut misplaced) = (0, 0);
    for given in given {
        let mut next = 0;
        for (n, at) in given {
            if n < next {
                misplaced += 1;
                continue;
            }
            missing += n - next;
            next = n + 1;
            samples.record(at.saturating_duration_since(sent[n].started));
        }
        missing += sent.len() - next;
    }
    let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    samples.fail_many(narrow(unknown), || {
        format!("{unknown} deliveries of messages nobody was told were sent")
    });
    samples.fail_many(narrow(misplaced), || {
        format!("{misplaced} deliveries were repeated or out of order")
    });
    samples.fail_many(narrow(missing), || {
        format!("{missing} deliveries are missing")
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(arrivals: &[(usize, u64)], now: Instant) -> Board {
        let arrivals = arrivals.iter().map(|(member, event)| Arrival {
            member: *member,
            event: *event,
            at: now,
        });
        Board {
            room: String::new(),
            hasher: RandomState::new(),
            arrivals: RefCell::new(arrivals.collect()),
            received: RefCell::default(),
            samples: RefCell::default(),
            progress: Notify::new(),
            finished: Cell::new(false),
            finish: Notify::new(),
        }
    }

    fn errors(arrivals: &[(usize, u64)]) -> (usize, u32) {
        let now = Instant::now();
        let sent: Vec<Sent> = [7, 8, 9]
            .map(|event| Sent {
                event,
                started: now,
            })
            .into();
        let mut samples = Samples::default();
        judge(&board(arrivals, now), &sent, 1, &mut samples);
        (samples.count(), samples.errors())
    }

    #[test]
    fn only_complete_and_ordered_delivery_is_without_errors() {
        assert_eq!(errors(&[(0, 7), (0, 8), (0, 9)]), (3, 0));
        assert_eq!(errors(&[(0, 7), (0, 9)]), (2, 1), "one is missing");
        assert_eq!(
            errors(&[(0, 7), (0, 8), (0, 8), (0, 9)]),
            (3, 1),
            "one came twice"
        );
        assert_eq!(
            errors(&[(0, 7), (0, 9), (0, 8)]),
            (2, 2),
            "one came late: missing at its place, and misplaced"
        );
        assert_eq!(
            errors(&[(0, 7), (0, 8), (0, 9), (0, 1)]),
            (3, 1),
            "one is unknown"
        );
    }
}
