use std::sync::atomic::Ordering::SeqCst;

use plexus_core::position::Position;

use super::*;
use crate::{
    Bus, Publisher,
    status::matrix_status,
    testing::{
        PATIENCE_MAX, W1, eventually,
        master::{FakeMaster, Process, Served},
        row, tasks,
    },
};

const SECRET: &str = "correct-horse";

fn command(id: u8) -> proto::Command {
    let kind = proto::command::Kind::SetTyping(proto::SetTyping {
        room_id: "!r".into(),
        user_id: "@u".into(),
        timeout_ms: 1,
    });
    proto::Command {
        id: vec![id; 16].into(),
        kind: Some(kind),
        task: None,
    }
}

/// A process that leads itself.
fn one_process() -> (FakeMaster, Process) {
    let master = FakeMaster::default();
    let process = Process::start(&master.0.log, MasterTarget::here(master.clone()), SECRET);
    let publisher = Publisher::start(
        Arc::clone(&process.reader.receiver),
        &Bus::Local,
        &tasks(),
        [(W1, 1, 0)],
    );
    master.0.publisher.set(publisher).unwrap();
    (master, process)
}

#[tokio::test]
async fn in_one_process_a_command_returns_once_its_rows_are_applied() {
    let (master, process) = one_process();
    master.0.no_frames.store(true, SeqCst);
    for id in 1..=20 {
        let result = process.link.run(command(id)).await.unwrap();
        assert_eq!(result.event_id, Some(format!("${id}")));
        assert_eq!(process.at(), i64::from(id));
    }
    assert_eq!(
        master.0.in_process.load(SeqCst),
        20,
        "the master is told, so that it sends no frames"
    );
    assert_eq!(master.0.log.fetched.load(SeqCst), 0);
}

#[tokio::test]
async fn a_refusal_reaches_the_caller_as_it_is_and_is_not_repeated() {
    let (master, process) = one_process();
    *master.0.refuse.lock().unwrap() = Some(matrix_status(403, "M_FORBIDDEN", "Schlüssel fehlt \u{0} \"x\""));
    let error = process.link.run(command(1)).await.unwrap_err();
    let forbidden = MasterError::Matrix {
        status: 403,
        errcode: "M_FORBIDDEN".into(),
        error: "Schlüssel fehlt \u{0} \"x\"".into(),
    };
    assert_eq!(error, forbidden);
    assert_eq!(master.0.came.lock().unwrap().len(), 1);
    // And over a socket.
    let served = Served::start(&master, SECRET);
    process.leader.send_replace(served.target());
    assert_eq!(process.link.run(command(2)).await, Err(forbidden));
}

#[tokio::test]
async fn a_command_is_repeated_with_its_id_while_nobody_leads() {
    let (master, process) = one_process();
    master.0.away.store(3, SeqCst);
    process.link.run(command(7)).await.unwrap();
    assert_eq!(*master.0.came.lock().unwrap(), vec![Bytes::from(vec![7; 16]); 4]);
    assert_eq!(master.0.log.head(W1).1, 1);
}

#[tokio::test]
async fn over_a_socket_the_answers_frame_is_enough() {
    let master = FakeMaster::default();
    let served = Served::start(&master, SECRET);
    let process = Process::start(&master.0.log, served.target(), SECRET);
    for id in 1..=20 {
        process.link.run(command(id)).await.unwrap();
        assert_eq!(process.at(), i64::from(id));
    }
    assert_eq!(master.0.in_process.load(SeqCst), 0);
    assert_eq!(master.0.log.fetched.load(SeqCst), 0, "nobody had to ask");
}

#[tokio::test]
async fn a_reader_that_lost_a_frame_asks_for_it() {
    let master = FakeMaster::default();
    master.0.no_frames.store(true, SeqCst);
    let served = Served::start(&master, SECRET);
    let process = Process::start(&master.0.log, served.target(), SECRET);
    process.link.run(command(1)).await.unwrap();
    assert_eq!(process.at(), 1);
    assert_eq!(master.0.log.fetched.load(SeqCst), 1);
}

#[tokio::test]
async fn a_wrong_secret_gets_nowhere() {
    let master = FakeMaster::default();
    let served = Served::start(&master, SECRET);
    let process = Process::start(&master.0.log, served.target(), "correct-house");
    let error = process.link.run(command(1)).await.unwrap_err();
    assert!(matches!(error, MasterError::Matrix { status: 500, .. }), "{error:?}");
    assert!(master.0.came.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_command_survives_the_leader_and_happens_once() {
    let master = FakeMaster::default();
    // The first leader commits and dies before it answers.
    master.0.mute.store(1, SeqCst);
    let first = Served::start(&master, SECRET);
    let process = Process::start(&master.0.log, first.target(), SECRET);
    let failover = async {
        eventually("the command has come", || master.0.log.head(W1).1 == 1).await;
        first.kill().await;
        process.leader.send_replace(MasterTarget::Nobody);
        let second = Served::start(&master, SECRET);
        process.leader.send_replace(second.target());
        second
    };
    let (result, _second) = tokio::join!(process.link.run(command(1)), failover);
    assert_eq!(result.unwrap().event_id, Some("$1".into()));
    assert_eq!(master.0.log.head(W1).1, 1, "the retry found the result");
    assert!(master.0.came.lock().unwrap().len() >= 2);
}

#[tokio::test]
async fn a_leader_that_comes_back_at_its_address_is_found_again() {
    let master = FakeMaster::default();
    let served = Served::start(&master, SECRET);
    let process = Process::start(&master.0.log, served.target(), SECRET);
    process.link.run(command(1)).await.unwrap();
    let address = served.address.clone();
    served.kill().await;
    let away = Instant::now() + Duration::from_millis(100);
    let outcome = process.link.master.call(away, |mut client| {
        let request = process.link.master.request(command(2));
        async move { client.run(request).await }
    });
    let error = outcome.await.unwrap_err();
    assert!(
        matches!(error, MasterError::Unavailable | MasterError::Deadline),
        "{error:?}"
    );
    let _again = Served::start_at(&address, &master, SECRET);
    process.link.run(command(2)).await.unwrap();
    assert_eq!(process.at(), master.0.log.head(W1).1);
}

#[tokio::test]
async fn without_a_leader_the_deadline_says_so() {
    let master = FakeMaster::default();
    let process = Process::start(&master.0.log, MasterTarget::Nobody, SECRET);
    let soon = Instant::now() + Duration::from_millis(20);
    let outcome = process.link.master.call(soon, |mut client| {
        let request = process.link.master.request(command(1));
        async move { client.run(request).await }
    });
    assert_eq!(outcome.await.unwrap_err(), MasterError::Unavailable);
}

#[tokio::test]
async fn the_head_is_the_masters_and_this_process_is_there() {
    let master = FakeMaster::default();
    let process = Process::start(&master.0.log, MasterTarget::here(master.clone()), SECRET);
    assert_eq!(process.link.head().await.unwrap(), Position::default());
    for user in 1..=5 {
        master.0.log.commit(W1, vec![row(user)]);
    }
    assert_eq!(process.link.head().await.unwrap(), Position::at(W1, 5));
    assert_eq!(process.at(), 5);
}

#[tokio::test]
async fn a_place_that_is_not_reached_in_time_is_an_error_and_raises_no_false_hope() {
    let master = FakeMaster::default();
    let process = Process::start(&master.0.log, MasterTarget::Nobody, SECRET);
    let future = Position::at(W1, 1_000_000);
    let soon = Instant::now() + Duration::from_millis(50);
    assert_eq!(process.link.reached(&future, soon).await, Err(NotReached));
    assert!(
        !process.reader.receiver.is_behind(W1),
        "a token from the future is no news of the log"
    );
    assert_eq!(master.0.log.fetched.load(SeqCst), 1, "asked once");
    let later = Instant::now() + PATIENCE_MAX;
    let waiting = process.link.reached(&future, later);
    assert!(futures_util::poll!(std::pin::pin!(waiting)).is_pending());
}

#[tokio::test]
async fn a_chain_nobody_has_heard_of_is_not_waited_for() {
    let master = FakeMaster::default();
    let process = Process::start(&master.0.log, MasterTarget::Nobody, SECRET);
    let elsewhere = Position::at(WriterId(777), 1);
    let later = Instant::now() + PATIENCE_MAX;
    assert_eq!(process.link.reached(&elsewhere, later).await, Err(NotReached));
    assert!(Instant::now() < later);
    assert!(!process.reader.receiver.knows(WriterId(777)), "a token makes no chain");
    assert_eq!(master.0.log.fetched.load(SeqCst), 0);
}

#[tokio::test]
async fn garbage_from_a_transport_changes_nothing() {
    let master = FakeMaster::default();
    let process = Process::start(&master.0.log, MasterTarget::Nobody, SECRET);
    assert!(!process.link.offer(Bytes::from_static(b"\xff\xffgarbage")));
    let misnumbered = proto::Frame {
        writer: 1,
        epoch: 9,
        previous: 0,
        position: 7,
        rows: Vec::new(),
    };
    process.link.offer_message(misnumbered);
    assert_eq!(process.at(), 0);
    process.link.offer_message(proto::Frame {
        writer: 70_000,
        ..proto::Frame::default()
    });
    assert_eq!(process.reader.receiver.readiness(), crate::Readiness::Ready);
}
