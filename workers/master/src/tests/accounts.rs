//! What Commands do to accounts and their sessions.

use plexus_core::{
    room_version::RoomVersion,
    row::{Membership, Row},
};
use plexus_proto::{
    ChangeMembership, ConfirmSession, CreateSession, Deactivate, DeleteSessions, RefreshSession, Register,
    RenameDevice, SendEvent, Session, SetPassword, SetStanding, command::Kind,
};
use plexus_replication::MasterError;
use plexus_testkit::databases;
use serde_json::json;

use super::Server;

const ALICE: &str = "@alice:example.org";
const BOB: &str = "@bob:example.org";
const GUEST: &str = "@guest:example.org";

/// How long a follow-up may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

fn hash(number: u8) -> Vec<u8> {
    vec![number; 32]
}

/// A session whose access token is `number` and whose refresh token is 100 more.
fn session(device: &str, number: u8) -> Session {
    Session {
        device_id: device.to_owned(),
        token_hash: hash(number).into(),
        expires_ms: Some(i64::MAX),
        refresh_hash: Some(hash(number + 100).into()),
        ..Session::default()
    }
}

async fn log_in(server: &Server, user: &str, device: &str, number: u8) {
    let session = Some(session(device, number));
    let user_id = user.to_owned();
    let kind = Kind::CreateSession(CreateSession { user_id, session });
    server.run(&format!("l{number}"), kind).await.expect("logs in");
}

async fn refresh(server: &Server, id: &str, shown: u8, new: u8) -> Result<(), MasterError> {
    let kind = Kind::RefreshSession(RefreshSession {
        user_id: ALICE.to_owned(),
        shown_hash: hash(shown + 100).into(),
        session: Some(session("PHONE", new)),
    });
    server.run(id, kind).await.map(|_| ())
}

/// Which access and refresh tokens are good.
async fn good(server: &Server, numbers: &[u8]) -> Vec<(u8, bool, bool)> {
    let store = server.replica.store();
    let mut found = Vec::new();
    for number in numbers {
        let access = store.session(&[*number; 32]).await.expect("answers");
        let refresh = store.refresh_token(&[number + 100; 32]).await.expect("answers");
        found.push((*number, access.is_some(), refresh.is_some()));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_ends_once_what_it_got_is_used() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        log_in(&server, ALICE, "PHONE", 1).await;
        refresh(&server, "a", 1, 2).await.expect("refreshes");
        let both = [(1, true, true), (2, true, true)];
        assert_eq!(good(&server, &[1, 2]).await, both, "the answer may have been lost");
        refresh(&server, "b", 1, 3).await.expect("refreshes again");
        let retried = [(1, true, true), (2, false, false), (3, true, true)];
        assert_eq!(good(&server, &[1, 2, 3]).await, retried);
        let confirm = ConfirmSession {
            user_id: ALICE.to_owned(),
            token_hash: hash(3).into(),
        };
        server.run("c", Kind::ConfirmSession(confirm)).await.expect("confirms");
        assert_eq!(good(&server, &[1, 3]).await, [(1, false, false), (3, true, true)]);
        let store = server.replica.store();
        let used = store.session(&[3; 32]).await.expect("answers").expect("is there");
        assert!(!used.life.unconfirmed);
        let refused = refresh(&server, "d", 1, 4).await;
        assert!(
            matches!(refused, Err(MasterError::Matrix { status: 401, .. })),
            "{refused:?}"
        );
        // To use the new refresh token is to use what it came with.
        refresh(&server, "e", 3, 5).await.expect("refreshes");
        refresh(&server, "f", 5, 6).await.expect("refreshes");
        let last = [(3, false, false), (5, true, true), (6, true, true)];
        assert_eq!(good(&server, &[3, 5, 6]).await, last);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_the_other_sessions_if_that_is_wished() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        for (device, number) in [("PHONE", 1), ("LAPTOP", 2), ("WATCH", 3)] {
            log_in(&server, ALICE, device, number).await;
        }
        let change = |end_other_sessions| {
            Kind::SetPassword(SetPassword {
                user_id: ALICE.to_owned(),
                password_hash: "$argon2id$".to_owned(),
                end_other_sessions,
                kept_device_id: Some("LAPTOP".to_owned()),
            })
        };
        server.run("kept", change(false)).await.expect("changes");
        assert!(good(&server, &[1, 2, 3]).await.iter().all(|(_, access, _)| *access));
        server.run("ended", change(true)).await.expect("changes");
        let left = [(1, false, false), (2, true, true), (3, false, false)];
        assert_eq!(good(&server, &[1, 2, 3]).await, left);
        let some = DeleteSessions {
            user_id: ALICE.to_owned(),
            device_ids: vec!["LAPTOP".to_owned(), "NEVER".to_owned()],
            ..DeleteSessions::default()
        };
        server.run("some", Kind::DeleteSessions(some)).await.expect("deletes");
        assert_eq!(good(&server, &[2]).await, [(2, false, false)]);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_device_is_news_to_others_and_an_unknown_one_is_not_made() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        log_in(&server, ALICE, "PHONE", 1).await;
        let rename = |device: &str| {
            Kind::RenameDevice(RenameDevice {
                user_id: ALICE.to_owned(),
                device_id: device.to_owned(),
                display_name: Some("My phone".to_owned()),
            })
        };
        server.run("known", rename("PHONE")).await.expect("renames");
        let log = server.log().await;
        let last = log.last().and_then(|frame| frame.rows.last());
        assert!(matches!(last, Some(Row::DeviceList { .. })), "{last:?}");
        let refused = server.run("unknown", rename("LAPTOP")).await;
        assert!(
            matches!(refused, Err(MasterError::Matrix { status: 404, .. })),
            "{refused:?}"
        );
        server.stop().await;
    }
}

/// Waits until the member's last membership is this one.
async fn until_membership(server: &Server, room: &str, user: &str, wanted: Membership) {
    let store = server.replica.store();
    let room = store.room(room.try_into().expect("an id")).await.expect("answers");
    let user = store.user_nid(user.try_into().expect("an id")).await.expect("answers");
    let (room, user) = (room.expect("is there").nid, user.expect("is there"));
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let now = store.user_rooms(user).await.expect("answers");
        let now = now.get(room).map(|room| room.membership);
        if now == Some(wanted) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{now:?} and not {wanted:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_account_leaves_everything() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        server.register(BOB).await;
        let room = server.create_room("room", ALICE, RoomVersion::V11).await;
        server.join(&room, BOB).await.expect("joins");
        log_in(&server, BOB, "PHONE", 1).await;
        let close = |erase| {
            let user_id = BOB.to_owned();
            Kind::Deactivate(Deactivate { user_id, erase })
        };
        server.run("close", close(true)).await.expect("closes");
        until_membership(&server, &room, BOB, Membership::Leave).await;
        let store = server.replica.store();
        let bob = store.user_nid(BOB.try_into().expect("an id")).await.expect("answers");
        let bob = bob.expect("is there");
        let account = store.account(bob).await.expect("answers").expect("is there");
        assert!(account.deactivated && account.standing.erased && account.password_hash.is_none());
        assert!(store.profile(bob).await.expect("answers").is_empty());
        assert_eq!(good(&server, &[1]).await, [(1, false, false)]);
        let session = Some(session("PHONE", 2));
        let user_id = BOB.to_owned();
        let again = server
            .run("again", Kind::CreateSession(CreateSession { user_id, session }))
            .await;
        assert!(again.is_err(), "{again:?}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_locked_and_suspended_each_by_itself() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        let set = |locked, suspended| {
            let user_id = ALICE.to_owned();
            Kind::SetStanding(SetStanding {
                user_id,
                locked,
                suspended,
            })
        };
        let steps = [
            (Some(true), None, (true, false)),
            (None, Some(true), (true, true)),
            (Some(false), None, (false, true)),
        ];
        let store = server.replica.store();
        for (i, (locked, suspended, wanted)) in steps.into_iter().enumerate() {
            server
                .run(&format!("s{i}"), set(locked, suspended))
                .await
                .expect("is set");
            let alice = store.user_nid(ALICE.try_into().expect("an id")).await.expect("answers");
            let account = store.account(alice.expect("is there")).await.expect("answers");
            let standing = account.expect("is there").standing;
            assert_eq!((standing.locked, standing.suspended), wanted);
        }
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_are_in_a_room_while_it_lets_them_in() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        let guest = |upgrades_guest: bool| {
            Kind::Register(Register {
                user_id: GUEST.to_owned(),
                guest: !upgrades_guest,
                upgrades_guest,
                ..Register::default()
            })
        };
        server.run("guest", guest(false)).await.expect("is made");
        let room = server.create_room("room", ALICE, RoomVersion::V11).await;
        let allow = async |id: &str, access: &str| {
            let event = SendEvent {
                room_id: room.clone(),
                sender: ALICE.to_owned(),
                kind: "m.room.guest_access".to_owned(),
                state_key: Some(String::new()),
                content: json!({"guest_access": access}).to_string().into(),
                ..SendEvent::default()
            };
            server.run(id, Kind::SendEvent(event)).await.expect("is set");
        };
        let join = |id: &'static str, guest| {
            let join = ChangeMembership {
                room_id: room.clone(),
                sender: GUEST.to_owned(),
                target: GUEST.to_owned(),
                guest,
                ..ChangeMembership::default()
            };
            server.run(id, Kind::ChangeMembership(join))
        };
        let refused = join("refused", true).await;
        assert!(
            matches!(refused, Err(MasterError::Matrix { status: 403, .. })),
            "{refused:?}"
        );
        allow("allow", "can_join").await;
        join("allowed", true).await.expect("guests may");
        allow("end", "forbidden").await;
        until_membership(&server, &room, GUEST, Membership::Leave).await;
        until_membership(&server, &room, ALICE, Membership::Join).await;
        // As a user the same person comes back.
        assert!(server.run("taken", guest(false)).await.is_err());
        server.run("user", guest(true)).await.expect("is upgraded");
        assert!(server.run("twice", guest(true)).await.is_err());
        join("user joins", false).await.expect("users may");
        server.stop().await;
    }
}
