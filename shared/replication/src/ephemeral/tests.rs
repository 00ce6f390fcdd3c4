use super::*;

const ROOM: RoomNid = RoomNid(1);

fn rows(reply: &proto::UpdatesReply) -> Vec<(Sequence, Row)> {
    let frames = reply.frames.iter().map(|bytes| frames::decode(bytes.clone()).unwrap());
    frames
        .flat_map(|frame| {
            frame
                .numbered_rows()
                .map(|(at, row)| (at, row.clone()))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn typing(room: RoomNid, users: &[i64]) -> Row {
    Row::Typing {
        room,
        users: users.iter().copied().map(UserNid).collect(),
    }
}

#[test]
fn a_reader_on_the_ring_gets_what_it_missed() {
    let mut ring = EphemeralRing::new(3);
    ring.set_typing(ROOM, vec![UserNid(1)]);
    ring.set_typing(ROOM, vec![UserNid(1), UserNid(2)]);
    ring.set_typing(ROOM, vec![]);
    let reply = ring.updates(3, 1);
    assert!(!reply.whole);
    assert_eq!(rows(&reply), [(2, typing(ROOM, &[1, 2])), (3, typing(ROOM, &[]))]);
    assert_eq!(ring.updates(3, 3).frames, Vec::<bytes::Bytes>::new());
    assert!(ring.typing(ROOM).is_empty());
}

#[test]
fn any_other_reader_gets_the_whole_state_once() {
    let mut ring = EphemeralRing::new(3);
    ring.set_typing(ROOM, vec![UserNid(1)]);
    ring.set_typing(RoomNid(2), vec![UserNid(2)]);
    ring.set_typing(RoomNid(2), vec![]);
    for (epoch, after) in [(2, 1), (4, 0), (3, 9)] {
        let reply = ring.updates(epoch, after);
        assert!(reply.whole);
        assert_eq!(rows(&reply), [(2, typing(ROOM, &[1])), (3, typing(RoomNid(2), &[]))]);
        assert_eq!(reply.head.unwrap().position, 3);
    }
    assert!(EphemeralRing::new(1).updates(0, 0).whole, "also when there is nothing");
}

#[test]
fn the_ring_and_the_quiet_rooms_are_bounded() {
    let mut ring = EphemeralRing::new(1);
    ring.set_typing(ROOM, vec![UserNid(1)]);
    let rooms = i64::try_from(RING_ROWS_MAX).unwrap();
    for room in 2..=rooms + 1 {
        ring.set_typing(RoomNid(room), vec![]);
    }
    assert_eq!(ring.frames.len(), RING_ROWS_MAX);
    assert!(ring.updates(1, 0).whole, "the first frame is gone");
    assert!(!ring.updates(1, 1).whole);
    assert_eq!(ring.typing.len(), QUIET_ROOMS_MAX + 1);
    assert_eq!(
        rows(&ring.updates(0, 0))[0].1,
        typing(ROOM, &[1]),
        "a room where somebody types is never forgotten"
    );
}

fn presence(user: i64, state: PresenceState) -> PresenceRow {
    PresenceRow {
        user: UserNid(user),
        state,
        status_msg: None,
        last_active_ms: 7,
        currently_active: state == PresenceState::Online,
    }
}

#[test]
fn presence_is_on_the_same_chain_and_in_the_whole_state() {
    let mut ring = EphemeralRing::new(3);
    assert_eq!(ring.set_presence(vec![]), None);
    let (online, offline) = (presence(1, PresenceState::Online), presence(2, PresenceState::Offline));
    let frame = ring.set_presence(vec![online.clone(), offline.clone()]).unwrap();
    assert_eq!((frame.previous, frame.position), (0, 2));
    ring.set_typing(ROOM, vec![UserNid(1)]);
    let away = presence(1, PresenceState::Unavailable);
    ring.set_presence(vec![away.clone()]);
    assert_eq!(rows(&ring.updates(3, 3)), [(4, Row::Presence(away.clone()))]);
    let whole = [
        (2, Row::Presence(offline)),
        (3, typing(ROOM, &[1])),
        (4, Row::Presence(away)),
    ];
    assert_eq!(rows(&ring.updates(2, 3)), whole);
}

#[test]
fn the_ring_counts_rows_and_offline_users_are_bounded() {
    let mut ring = EphemeralRing::new(1);
    ring.set_presence(vec![presence(0, PresenceState::Online)]);
    for user in 1..=i64::try_from(RING_ROWS_MAX).unwrap() + 5 {
        ring.set_presence(vec![presence(user, PresenceState::Offline)]);
    }
    assert_eq!(ring.rows, RING_ROWS_MAX);
    assert_eq!(ring.presence.len(), OFFLINE_USERS_MAX + 1, "who is online stays");
    let many = (0..10).map(|user| presence(user, PresenceState::Online)).collect();
    ring.set_presence(many);
    assert_eq!(ring.rows, RING_ROWS_MAX);
    assert_eq!(
        ring.frames.iter().map(|frame| frame.rows.len()).sum::<usize>(),
        ring.rows
    );
}
