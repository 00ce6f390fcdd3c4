use std::{cell::Cell, convert::Infallible};

use futures_util::{future::join_all, poll};
use plexus_core::{
    ids::{EventNid, NodeId},
    row::{PresenceRow, PresenceState},
};

use super::*;

const ALICE: UserNid = UserNid(1);
const BOB: UserNid = UserNid(2);
const ROOM: RoomNid = RoomNid(10);
const OTHER: RoomNid = RoomNid(11);

fn event(room: RoomNid, membership: Option<(UserNid, Membership)>) -> Row {
    Row::Event(EventRow {
        event: EventNid(1),
        room,
        sender: BOB,
        room_order: 1,
        state_key: None,
        state_before: NodeId(0),
        room_root: NodeId(0),
        state_after: NodeId(0),
        was_outlier: false,
        outgoing: true,
        auth_parents: None,
        notifying: 0,
        membership,
        transaction: None,
        body: None,
    })
}

async fn listen(notifier: &Notifier, user: UserNid, rooms: &[RoomNid]) -> Listener {
    notifier
        .listen(user, async { Ok::<_, Infallible>(rooms.to_vec()) })
        .await
        .unwrap()
}

/// Whether the listener has been woken; it listens on after.
async fn woken(listener: &mut Listener) -> bool {
    poll!(std::pin::pin!(listener.changed())).is_ready()
}

#[tokio::test]
async fn a_row_wakes_those_it_touches_and_nobody_else() {
    let notifier = Notifier::default();
    let mut alice = listen(&notifier, ALICE, &[ROOM]).await;
    let mut bob = listen(&notifier, BOB, &[OTHER]).await;
    let in_room = [
        event(ROOM, None),
        Row::Redaction {
            room: ROOM,
            event: EventNid(1),
            redacted_by: EventNid(2),
        },
        Row::Typing {
            room: ROOM,
            users: vec![],
        },
        Row::Account { user: ALICE },
        Row::Device {
            user: ALICE,
            device: "PHONE".into(),
            deleted: true,
        },
        Row::Profile { user: ALICE },
    ];
    for row in in_room {
        assert!(!woken(&mut alice).await);
        notifier.touch(std::slice::from_ref(&row), &|_| None);
        assert!(woken(&mut alice).await, "{row:?}");
        assert!(!woken(&mut bob).await, "{row:?}");
    }
}

#[tokio::test]
async fn a_row_between_listening_and_waiting_is_not_missed() {
    let notifier = Notifier::default();
    let mut alice = listen(&notifier, ALICE, &[ROOM]).await;
    notifier.touch(&[event(ROOM, None)], &|_| None);
    alice.changed().await;
    assert!(!woken(&mut alice).await, "and wakes once");
}

#[tokio::test]
async fn a_warm_user_is_not_loaded_again_and_hears_all_his_listeners() {
    let notifier = Notifier::default();
    let loads = Cell::new(0);
    let load = || async {
        loads.set(loads.get() + 1);
        Ok::<_, Infallible>([ROOM])
    };
    let mut phone = notifier.listen(ALICE, load()).await.unwrap();
    let mut laptop = notifier.listen(ALICE, load()).await.unwrap();
    assert_eq!(loads.get(), 1);
    notifier.touch(&[event(ROOM, None)], &|_| None);
    assert!(woken(&mut phone).await && woken(&mut laptop).await);
    drop((phone, laptop));
    let mut later = notifier.listen(ALICE, load()).await.unwrap();
    assert_eq!(loads.get(), 1, "still warm with nobody listening");
    assert!(!woken(&mut later).await);
}

#[tokio::test]
async fn rooms_follow_memberships() {
    let notifier = Notifier::default();
    let mut alice = listen(&notifier, ALICE, &[]).await;
    notifier.touch(&[event(ROOM, Some((ALICE, Membership::Invite)))], &|_| None);
    assert!(woken(&mut alice).await, "an invitation reaches who is not in the room");
    notifier.touch(&[event(ROOM, None)], &|_| None);
    assert!(!woken(&mut alice).await);
    notifier.touch(&[event(ROOM, Some((ALICE, Membership::Join)))], &|_| None);
    notifier.touch(&[event(ROOM, None)], &|_| None);
    assert!(woken(&mut alice).await);
    notifier.touch(&[event(ROOM, Some((ALICE, Membership::Ban)))], &|_| None);
    assert!(woken(&mut alice).await, "the ban itself too");
    notifier.touch(&[event(ROOM, None)], &|_| None);
    assert!(!woken(&mut alice).await);
}

#[tokio::test]
async fn memberships_that_change_while_rooms_are_loaded_count() {
    let notifier = Notifier::default();
    let mut alice = notifier
        .listen(ALICE, async {
            notifier.touch(
                &[
                    event(ROOM, Some((ALICE, Membership::Join))),
                    event(OTHER, Some((ALICE, Membership::Leave))),
                ],
                &|_| None,
            );
            // Read before those rows were committed.
            Ok::<_, Infallible>([OTHER])
        })
        .await
        .unwrap();
    assert!(woken(&mut alice).await);
    notifier.touch(&[event(OTHER, None)], &|_| None);
    assert!(!woken(&mut alice).await);
    notifier.touch(&[event(ROOM, None)], &|_| None);
    assert!(woken(&mut alice).await);
}

#[tokio::test]
async fn a_load_that_fails_leaves_the_user_cold() {
    let notifier = Notifier::default();
    assert_eq!(
        notifier
            .listen(ALICE, async { Err::<Vec<_>, _>("no database") })
            .await
            .unwrap_err(),
        "no database"
    );
    let mut alice = listen(&notifier, ALICE, &[ROOM]).await;
    notifier.touch(&[event(ROOM, None)], &|_| None);
    assert!(woken(&mut alice).await);
}

#[tokio::test]
async fn when_rooms_are_forgotten_everybody_wakes_and_any_row_wakes_until_they_are_known_again() {
    let notifier = Notifier::default();
    let mut alice = listen(&notifier, ALICE, &[ROOM]).await;
    notifier.forget_rooms();
    assert!(woken(&mut alice).await);
    notifier.touch(&[event(OTHER, None)], &|_| None);
    assert!(woken(&mut alice).await);
    let mut again = listen(&notifier, ALICE, &[ROOM]).await;
    notifier.touch(&[event(OTHER, None)], &|_| None);
    assert!(!woken(&mut again).await && !woken(&mut alice).await);
    notifier.touch(&[event(ROOM, None)], &|_| None);
    assert!(woken(&mut again).await && woken(&mut alice).await);
}

#[tokio::test]
async fn a_user_of_too_many_rooms_is_woken_by_every_row() {
    let notifier = Notifier::default();
    let rooms: Vec<_> = (100..).map(RoomNid).take(ROOMS_PER_USER_MAX + 1).collect();
    let mut alice = listen(&notifier, ALICE, &rooms).await;
    notifier.touch(&[event(OTHER, None)], &|_| None);
    assert!(woken(&mut alice).await);
    assert!(notifier.lock().rooms.is_empty());
}

#[tokio::test]
async fn who_has_not_listened_for_long_is_forgotten() {
    let notifier = Notifier::default();
    let listening = listen(&notifier, ALICE, &[ROOM]).await;
    drop(listen(&notifier, BOB, &[ROOM, OTHER]).await);
    let sweep = || {
        let mut inner = notifier.lock();
        inner.swept -= SWEEP_EVERY;
        inner.sweep();
    };
    sweep();
    assert_eq!(
        notifier.lock().users.len(),
        2,
        "both have listened since the last sweep"
    );
    sweep();
    let inner = notifier.lock();
    assert!(inner.users.contains_key(&ALICE) && !inner.users.contains_key(&BOB));
    assert!(inner.rooms.contains_key(&ROOM) && !inner.rooms.contains_key(&OTHER));
    assert_eq!(inner.rooms[&ROOM].len(), 1);
    drop(listening);
}

#[tokio::test]
async fn a_hundred_listeners_of_a_room_wake_from_one_row() {
    let notifier = Notifier::default();
    let mut listeners = Vec::new();
    for user in 0..100 {
        listeners.push(listen(&notifier, UserNid(user), &[ROOM]).await);
    }
    let all = join_all(listeners.iter_mut().map(Listener::changed));
    let rows = vec![event(ROOM, None); 20];
    let (_, ()) = tokio::join!(all, async { notifier.touch(&rows, &|_| None) });
    let mut rung = Vec::new();
    for bell in notifier.lock().rooms[&ROOM].values() {
        rung.push(bell.rung.load(SeqCst));
    }
    assert_eq!(rung, [1; 100], "once for a frame, however many rows");
}

#[tokio::test]
async fn presence_wakes_peers_and_nobody_where_they_are_not_known() {
    let notifier = Notifier::default();
    let mut alice = listen(&notifier, ALICE, &[ROOM]).await;
    let presence = |user| {
        Row::Presence(PresenceRow {
            user,
            state: PresenceState::Online,
            status_msg: None,
            last_active_ms: 1,
            currently_active: true,
        })
    };
    notifier.touch(&[presence(ALICE)], &|_| None);
    assert!(woken(&mut alice).await, "his own");
    notifier.touch(&[presence(BOB)], &|_| None);
    assert!(!woken(&mut alice).await, "a stranger's, as far as is known");
    notifier.touch(&[presence(BOB)], &|_| Some(vec![OTHER]));
    assert!(!woken(&mut alice).await);
    notifier.touch(&[presence(BOB)], &|_| Some(vec![OTHER, ROOM]));
    assert!(woken(&mut alice).await);
    let _bob = listen(&notifier, BOB, &[ROOM]).await;
    notifier.touch(&[presence(BOB)], &|_| None);
    assert!(woken(&mut alice).await);
}

#[tokio::test]
async fn changed_devices_wake_sharers_and_everybody_where_they_are_not_known() {
    let stranger = UserNid(9);
    let notifier = Notifier::default();
    let mut alice = listen(&notifier, ALICE, &[ROOM]).await;
    let mut bob = listen(&notifier, BOB, &[OTHER]).await;
    let changed = |user| [Row::DeviceList { user }];
    notifier.touch(&changed(ALICE), &|_| None);
    assert!(woken(&mut alice).await && !woken(&mut bob).await);
    notifier.touch(&changed(stranger), &|_| Some(vec![OTHER]));
    assert!(!woken(&mut alice).await && woken(&mut bob).await);
    notifier.touch(&changed(stranger), &|_| None);
    assert!(
        woken(&mut alice).await && woken(&mut bob).await,
        "who may be concerned is woken"
    );
    let view = Row::KeyView {
        user: stranger,
        viewer: ALICE,
    };
    notifier.touch(&[view], &|_| None);
    assert!(woken(&mut alice).await && !woken(&mut bob).await);
}
