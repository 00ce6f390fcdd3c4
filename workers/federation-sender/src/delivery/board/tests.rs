use ruma::server_name;

use super::*;

fn here() -> &'static ServerName {
    server_name!("a.example")
}

/// A board with the bucket of a destination, read up to 10.
fn board() -> Board {
    let mut board = Board::default();
    board.take_bucket(bucket_of(here()), 10, Vec::new());
    board
}

fn pdu(position: Sequence) -> Pdu {
    Pdu {
        position,
        event: EventNid(position),
    }
}

fn edu(position: Sequence) -> Edu {
    Edu {
        position,
        what: Lasting::Messages,
    }
}

fn push(board: &mut Board, position: Sequence) -> bool {
    board.push(here(), Item::Pdu(pdu(position)))
}

fn sent_places(board: &mut Board) -> Vec<Sequence> {
    let step = board.next(here());
    let Step::Send(batch) = step else { panic!("{step:?}") };
    board.sent(here(), &batch);
    batch.pdus.iter().map(|pdu| pdu.position).collect()
}

fn cursor(board: &Board) -> Option<Sequence> {
    let cursors = board.cursors(true);
    cursors.first().map(|(_, cursor)| *cursor)
}

#[test]
fn buckets_are_many_and_stay_what_they_are() {
    let buckets: std::collections::BTreeSet<u16> = (0..5_000)
        .map(|number| bucket_of(&OwnedServerName::try_from(format!("server{number}.example")).expect("a name")))
        .collect();
    assert_eq!(buckets.len(), usize::from(BUCKETS));
    // The database has cursors by these numbers.
    assert_eq!(
        (
            bucket_of(server_name!("a.example")),
            bucket_of(server_name!("matrix.org"))
        ),
        (37, 131)
    );
}

#[test]
fn what_comes_is_sent_in_order_and_in_pieces() {
    let mut board = board();
    let begun: Vec<bool> = (11..=130).map(|position| push(&mut board, position)).collect();
    assert!(begun[0] && !begun[1..].contains(&true), "one begins to work on it");
    for position in 131..=340 {
        board.push(here(), Item::Edu(edu(position)));
    }
    board.advance(340);
    assert_eq!(cursor(&board), None, "what waits holds the cursor");
    let mut sizes = Vec::new();
    let mut places = Vec::new();
    while let Step::Send(batch) = board.next(here()) {
        board.sent(here(), &batch);
        sizes.push((batch.pdus.len(), batch.edus.len()));
        places.extend(batch.pdus.iter().map(|pdu| pdu.position));
    }
    assert_eq!(sizes, [(50, 100), (50, 100), (20, 10)]);
    assert_eq!(places, (11..=130).collect::<Vec<_>>());
    assert_eq!(cursor(&board), Some(340));
    assert_eq!(
        board.waiting().busy,
        0,
        "nothing is kept of a destination for which nothing waits"
    );
    assert!(push(&mut board, 341), "and somebody begins anew");
}

#[test]
fn what_was_read_before_is_not_queued_again() {
    let mut board = board();
    assert!(!push(&mut board, 10));
    assert!(!board.push(server_name!("elsewhere.example"), Item::Pdu(pdu(11))));
    assert_eq!(board.next(here()), Step::Rest);
}

#[test]
fn a_batch_that_is_not_sent_stays() {
    let mut board = board();
    push(&mut board, 11);
    let first = board.next(here());
    assert_eq!(board.next(here()), first);
    push(&mut board, 12);
    assert_eq!(sent_places(&mut board), [11, 12]);
}

#[test]
fn a_destination_that_fails_lags_and_is_caught_up_once() {
    let mut board = board();
    push(&mut board, 11);
    push(&mut board, 15);
    board.advance(20);
    let lag = board.fail(here()).expect("the database has to know");
    assert_eq!((lag.since, lag.noted), (10, 20));
    assert_eq!(cursor(&board), None, "until the database knows, it holds the cursor");
    board.give_up(here());
    assert_eq!(cursor(&board), Some(20));

    // Nothing is queued for it, and nobody works on it.
    assert!(!push(&mut board, 25));
    assert!(!board.push_passing(
        here(),
        Passing::Typing {
            room: RoomNid(1),
            user: UserNid(1),
            typing: true,
        }
    ));
    board.advance(25);
    assert_eq!(
        board.waiting(),
        Waiting {
            lagging: 1,
            cursor: Some(25),
            ..Waiting::default()
        }
    );

    assert!(board.due(here()));
    assert!(!board.due(here()), "somebody works on it");
    assert_eq!(board.next(here()), Step::CatchUp { since: 10, up_to: 25 });
    // What comes while it is caught up waits for it.
    assert!(!push(&mut board, 26));
    board.advance(30);
    board.caught_up(here(), 25);
    assert_eq!(sent_places(&mut board), [26]);
    assert_eq!(board.next(here()), Step::ForgetLag { up_to: 30 });
    push(&mut board, 31);
    board.advance(31);
    assert_eq!(board.cursors(true).first().map(|(_, cursor)| *cursor), Some(30));
    assert_eq!(sent_places(&mut board), [31]);
    assert_eq!(board.next(here()), Step::Rest);
}

#[test]
fn what_came_between_the_reading_and_the_catching_up_is_in_it() {
    let mut board = board();
    push(&mut board, 11);
    assert!(board.fail(here()).is_some());
    board.give_up(here());
    // Read, but not all of what was read is queued yet.
    push(&mut board, 50);
    assert!(board.due(here()));
    assert_eq!(board.next(here()), Step::CatchUp { since: 10, up_to: 50 });
}

#[test]
fn one_that_fails_while_it_is_caught_up_lags_from_where_it_was() {
    let mut board = board();
    push(&mut board, 11);
    assert!(board.fail(here()).is_some());
    board.give_up(here());
    assert!(board.due(here()));
    board.next(here());
    push(&mut board, 60);
    assert_eq!(board.fail(here()), None, "the database knows already");
    board.give_up(here());
    assert!(board.due(here()));
    assert_eq!(board.next(here()), Step::CatchUp { since: 10, up_to: 60 });
}

#[test]
fn too_much_for_the_queue_is_read_from_the_tables() {
    let mut board = board();
    let last = 11 + Sequence::try_from(QUEUED_MAX).expect("small");
    for position in 11..=last {
        push(&mut board, position);
    }
    board.advance(last);
    assert_eq!(cursor(&board), None, "no row speaks for it, so it holds the cursor");
    assert_eq!(board.next(here()), Step::CatchUp { since: 10, up_to: last });
    board.caught_up(here(), last);
    assert_eq!(board.next(here()), Step::Rest);
    assert_eq!(cursor(&board), Some(last));
}

#[test]
fn lags_of_the_database_are_found_again() {
    let mut board = Board::default();
    let lag = Lag {
        server: here().to_owned(),
        since: 3,
        noted: 9,
    };
    board.take_bucket(bucket_of(here()), 10, vec![lag]);
    assert!(!push(&mut board, 12));
    assert!(board.due(here()));
    assert_eq!(board.next(here()), Step::CatchUp { since: 3, up_to: 12 });
    board.drop_bucket(bucket_of(here()));
    assert_eq!(board.next(here()), Step::Rest, "another process goes on with it");
    assert!(!board.due(here()));
}

#[test]
fn a_row_that_another_process_left_is_forgotten() {
    let mut board = board();
    assert!(board.due(here()));
    assert_eq!(board.next(here()), Step::ForgetLag { up_to: 10 });
    assert_eq!(board.next(here()), Step::Rest);
}

#[test]
fn of_the_moment_only_the_last_counts() {
    let mut board = board();
    let typing = |typing| Passing::Typing {
        room: RoomNid(1),
        user: UserNid(1),
        typing,
    };
    assert!(board.push_passing(here(), typing(true)));
    board.push_passing(here(), typing(false));
    let Step::Send(batch) = board.next(here()) else {
        panic!("something waits");
    };
    assert_eq!(batch.passing, [typing(false)]);
    board.sent(here(), &batch);
    // And it is not worth a row.
    board.push_passing(here(), typing(true));
    assert_eq!(board.fail(here()), None);
    board.give_up(here());
    assert_eq!(board.waiting().lagging, 0);
}
