use std::sync::{OnceLock, atomic::Ordering::SeqCst};

use plexus_core::{
    ids::{RoomNid, UserNid},
    row::Row,
};
use plexus_proto as proto;
use prost::Message;

use super::*;
use crate::{
    EphemeralRing,
    testing::{Log, Reader, W1, W2, eventually, frame, row, tasks},
};

fn ask_nobody() -> Reader {
    Reader::new(&[], |_, _, _| async {
        Err(FillError("nobody is asked in this test".into()))
    })
}

#[tokio::test]
async fn a_frame_that_follows_is_applied_and_moves_the_position() {
    let reader = ask_nobody();
    reader.receiver.receive(&frame(W1, 1, 0, vec![row(1), row(2)]));
    reader.receiver.receive(&frame(W1, 1, 2, vec![row(3)]));
    assert_eq!(reader.sequences(W1), [1, 2, 3]);
    assert_eq!(*reader.receiver.position(), Position::at(W1, 3));
}

#[tokio::test]
async fn rows_are_applied_before_the_position_moves() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let receiver: Arc<OnceLock<Arc<Receiver>>> = Arc::default();
    let (written, looked) = (Arc::clone(&seen), Arc::clone(&receiver));
    let hooks = Hooks {
        apply: Box::new(move |_, _, sequence, _| {
            let at = looked.get().unwrap().position().get(W1);
            written.lock().unwrap().push((sequence, at));
        }),
        drop_caches: Box::new(|| {}),
        forget_ephemeral: Box::new(|_| {}),
        rooms_of: Box::new(|_| None),
        updates: Box::new(|_, _, _| Box::pin(async { Err(FillError(String::new())) })),
    };
    receiver.set(Receiver::new(hooks, tasks(), &[])).unwrap();
    receiver.get().unwrap().receive(&frame(W1, 1, 0, vec![row(1), row(2)]));
    assert_eq!(*seen.lock().unwrap(), [(1, 0), (2, 0)]);
}

#[tokio::test]
async fn a_frame_that_comes_again_or_late_changes_nothing() {
    let reader = ask_nobody();
    let first = frame(W1, 1, 0, vec![row(1)]);
    let second = frame(W1, 1, 1, vec![row(2)]);
    for frame in [&first, &first, &second, &first, &second] {
        reader.receiver.receive(frame);
    }
    assert_eq!(reader.sequences(W1), [1, 2]);
    assert!(!reader.receiver.is_behind(W1));
}

#[tokio::test]
async fn a_deposed_writer_is_not_heard() {
    let reader = ask_nobody();
    reader.receiver.receive(&frame(W1, 2, 0, vec![row(1)]));
    reader.receiver.receive(&frame(W1, 1, 1, vec![row(66)]));
    reader.receiver.receive(&frame(W1, 1, 9, vec![]));
    assert_eq!(reader.sequences(W1), [1]);
    assert!(!reader.receiver.is_behind(W1), "its heartbeat says nothing either");
    // A heartbeat is enough to depose.
    reader.receiver.receive(&frame(W1, 3, 1, vec![]));
    reader.receiver.receive(&frame(W1, 2, 1, vec![row(66)]));
    assert_eq!(reader.sequences(W1), [1]);
    // Each chain has epochs of its own.
    reader.receiver.receive(&frame(W2, 1, 0, vec![row(2)]));
    assert_eq!(reader.sequences(W2), [1]);
}

#[tokio::test]
async fn a_gap_is_filled_and_never_skipped() {
    let log = Arc::new(Log::default());
    let frames: Vec<_> = (1..=9).map(|user| log.commit(W1, vec![row(user)])).collect();
    let reader = Reader::of(&log);
    reader.receiver.receive(&frames[0]);
    reader.receiver.receive(&frames[8]);
    assert_eq!(reader.sequences(W1), [1], "what is ahead waits");
    reader.reaches(W1, 9).await;
    assert_eq!(reader.given(W1), log.rows(W1, 0));
}

#[tokio::test]
async fn a_heartbeat_tells_of_a_gap_at_the_end() {
    let log = Arc::new(Log::default());
    log.commit(W1, vec![row(1), row(2)]);
    let reader = Reader::of(&log);
    reader.receiver.receive(&log.heartbeat(W1));
    reader.reaches(W1, 2).await;
    assert_eq!(reader.given(W1), log.rows(W1, 0));
}

#[tokio::test]
async fn a_fill_that_fails_is_tried_again() {
    let log = Arc::new(Log::default());
    log.commit(W1, vec![row(1)]);
    log.failing.store(3, SeqCst);
    let reader = Reader::of(&log);
    reader.receiver.receive(&log.heartbeat(W1));
    reader.reaches(W1, 1).await;
    assert_eq!(log.fetched.load(SeqCst), 4);
}

#[tokio::test]
async fn one_fill_at_a_time_for_each_chain() {
    let (open, gate) = tokio::sync::watch::channel(false);
    let log = Arc::new(Log::default());
    for user in 1..=50 {
        log.commit(W1, vec![row(user)]);
    }
    let source = Arc::clone(&log);
    let reader = Reader::new(&[], move |writer, _, after| {
        let (source, mut gate) = (Arc::clone(&source), gate.clone());
        async move {
            let updates = source.updates(writer, after, 100);
            gate.wait_for(|open| *open).await.unwrap();
            updates
        }
    });
    reader.receiver.receive(&log.heartbeat(W1));
    eventually("the fill begins", || log.fetched.load(SeqCst) > 0).await;
    for _ in 0..100 {
        reader.receiver.receive(&log.heartbeat(W1));
        reader.receiver.ask(W1);
        tokio::task::yield_now().await;
    }
    assert_eq!(log.fetched.load(SeqCst), 1);
    open.send(true).unwrap();
    reader.reaches(W1, 50).await;
    assert_eq!(reader.given(W1), log.rows(W1, 0));
}

#[tokio::test]
async fn what_comes_while_a_fill_is_under_way_is_kept_and_bounded() {
    let log = Arc::new(Log::default());
    let frames: Vec<_> = (1..=400).map(|user| log.commit(W1, vec![row(user)])).collect();
    let reader = Reader::of(&log);
    for frame in &frames[1..] {
        reader.receiver.receive(frame);
    }
    reader.receiver.receive(&frames[0]);
    let kept = i64::try_from(crate::chain::AHEAD_FRAMES_MAX).unwrap();
    assert_eq!(
        reader.receiver.position().get(W1),
        1 + kept,
        "the nearest are kept, in order"
    );
    reader.reaches(W1, 400).await;
    assert_eq!(reader.given(W1), log.rows(W1, 0));
}

#[tokio::test]
async fn the_links_decide_over_epochs_found_in_the_log() {
    let log = Arc::new(Log::default());
    log.commit(W1, vec![row(1)]);
    log.take_over(W1);
    log.take_over(W1);
    log.commit(W1, vec![row(2)]);
    log.take_over(W1);
    log.commit(W1, vec![row(3)]);
    let reader = Reader::of(&log);
    // The newest epoch is known before anything of the older ones is read.
    reader.receiver.receive(&log.heartbeat(W1));
    reader.reaches(W1, 3).await;
    let epochs: Vec<_> = reader.given(W1).into_iter().map(|(_, epoch, _, _)| epoch).collect();
    assert_eq!(epochs, [1, 3, 4]);
    assert_eq!(reader.receiver.readiness(), Readiness::Ready);
}

#[tokio::test]
async fn a_reader_older_than_the_log_drops_its_caches_and_starts_at_the_head() {
    let log = Arc::new(Log::default());
    let frames: Vec<_> = (1..=6).map(|user| log.commit(W1, vec![row(user)])).collect();
    log.prune(W1, 4);
    let reader = Reader::of(&log);
    reader.receiver.receive(&frames[0]);
    reader.receiver.receive(&log.heartbeat(W1));
    reader.reaches(W1, 6).await;
    assert_eq!(reader.sequences(W1), [1], "rows after a hole are not applied");
    assert_eq!(reader.caches_dropped.load(SeqCst), 1);
    reader.receiver.receive(&log.commit(W1, vec![row(7)]));
    assert_eq!(reader.sequences(W1), [1, 7]);
}

#[tokio::test]
async fn a_history_that_was_put_back_is_a_fault() {
    let reader = ask_nobody();
    reader.receiver.receive(&frame(W1, 1, 0, vec![row(1), row(2), row(3)]));
    // A backup that ended at 1 was restored, and a new master goes on from there.
    reader.receiver.receive(&frame(W1, 2, 1, vec![row(9)]));
    assert_eq!(
        reader.receiver.readiness(),
        Readiness::Faulty(Fault::Rewound { writer: 1, at: 3 })
    );
    assert_eq!(reader.caches_dropped.load(SeqCst), 1);
    reader.receiver.receive(&frame(W1, 2, 3, vec![row(10)]));
    assert_eq!(
        reader.sequences(W1),
        [1, 2, 3],
        "nothing is applied to the wrong history"
    );
}

#[tokio::test]
async fn a_row_of_an_unknown_kind_makes_the_process_unready() {
    let known = frame(W1, 1, 0, vec![row(1)]);
    let mut newer = proto::Frame {
        writer: 1,
        epoch: 1,
        previous: 1,
        position: 2,
        rows: Vec::new(),
    };
    newer.rows.push(proto::Row { kind: None });
    let page = vec![crate::frames::encode_stored(&known), newer.encode_to_vec().into()];
    let reader = Reader::new(&[], move |_, _, _| {
        let frames = page.clone();
        async {
            Ok(Updates {
                frames,
                too_old: false,
                whole: false,
                head: (1, 2),
            })
        }
    });
    reader.receiver.receive(&frame(W1, 1, 2, vec![]));
    eventually("the row is met", || reader.receiver.readiness() != Readiness::Ready).await;
    assert_eq!(
        reader.receiver.readiness(),
        Readiness::Faulty(Fault::UnknownRow { writer: 1, at: 1 })
    );
    assert_eq!(reader.sequences(W1), [1], "what is before it is applied");
    assert_eq!(
        *reader.receiver.position(),
        Position::at(W1, 1),
        "and the position does not pass it"
    );
    assert_eq!(reader.caches_dropped.load(SeqCst), 1);
}

#[tokio::test]
async fn those_who_wait_wake_when_their_place_is_reached_and_not_before() {
    let reader = ask_nobody();
    let second = reader.receiver.reached(W1, (0, 2));
    let third = reader.receiver.reached(W1, (0, 3));
    tokio::pin!(second, third);
    assert!(futures_util::poll!(&mut second).is_pending());
    assert!(futures_util::poll!(&mut third).is_pending());
    reader.receiver.receive(&frame(W1, 1, 0, vec![row(1), row(2)]));
    assert!(futures_util::poll!(&mut second).is_ready());
    assert!(futures_util::poll!(&mut third).is_pending());
    reader.receiver.receive(&frame(W1, 1, 2, vec![row(3)]));
    assert!(futures_util::poll!(&mut third).is_ready());
}

/// A reader of an ephemeral ring.
fn reader_of(ring: &Arc<Mutex<EphemeralRing>>) -> Reader {
    let ring = Arc::clone(ring);
    Reader::new(&[], move |_, epoch, after| {
        let reply = ring.lock().unwrap().updates(epoch, after);
        let head = reply.head.unwrap();
        async move {
            Ok(Updates {
                frames: reply.frames,
                too_old: false,
                whole: reply.whole,
                head: (head.epoch, head.position),
            })
        }
    })
}

fn typing(room: i64, user: i64) -> Row {
    Row::Typing {
        room: RoomNid(room),
        users: vec![UserNid(user)],
    }
}

#[tokio::test]
async fn a_new_term_of_the_ephemeral_chain_begins_from_nothing() {
    let reader = ask_nobody();
    let mut ring = EphemeralRing::new(4);
    reader.receiver.receive(&ring.set_typing(RoomNid(1), vec![UserNid(7)]));
    assert_eq!(reader.receiver.place(EPHEMERAL), (4, 1));
    let mut ring = EphemeralRing::new(5);
    reader.receiver.receive(&ring.set_typing(RoomNid(2), vec![UserNid(8)]));
    assert_eq!(reader.receiver.place(EPHEMERAL), (5, 1));
    assert_eq!(*reader.ephemeral_epochs.lock().unwrap(), [4, 5]);
    assert_eq!(
        *reader.receiver.position(),
        Position::default(),
        "it is no part of the position"
    );
}

#[tokio::test]
async fn a_reader_that_joins_in_the_middle_takes_the_whole_ephemeral_state() {
    let ring = Arc::new(Mutex::new(EphemeralRing::new(4)));
    let mut frames = Vec::new();
    for (room, user) in [(1, 7), (2, 8), (1, 9)] {
        frames.push(ring.lock().unwrap().set_typing(RoomNid(room), vec![UserNid(user)]));
    }
    let reader = reader_of(&ring);
    reader.receiver.receive(&frames[2]);
    eventually("the state is there", || reader.receiver.place(EPHEMERAL) == (4, 3)).await;
    let given: Vec<_> = reader
        .given(EPHEMERAL)
        .into_iter()
        .map(|(_, _, sequence, row)| (sequence, row))
        .collect();
    assert_eq!(given, [(2, typing(2, 8)), (3, typing(1, 9))]);
    // From here on it follows frame by frame.
    let next = ring.lock().unwrap().set_typing(RoomNid(3), vec![]);
    reader.receiver.receive(&next);
    assert_eq!(reader.receiver.place(EPHEMERAL), (4, 4));
}

#[tokio::test]
async fn who_waits_for_an_ephemeral_place_is_served_by_a_later_epoch() {
    let reader = ask_nobody();
    let waiting = reader.receiver.reached(EPHEMERAL, (4, 9));
    tokio::pin!(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    reader.receiver.receive(&frame(EPHEMERAL, 5, 0, vec![]));
    assert!(futures_util::poll!(&mut waiting).is_ready());
}
