//! What Commands do to a room.

use plexus_core::{
    ids::EventNid,
    room_version::RoomVersion,
    row::{Membership, Row},
};
use plexus_proto::{ChangeMembership, SendEvent, SetReceipt, SetTyping, change_membership::Action, command::Kind};
use plexus_replication::MasterError;
use plexus_testkit::databases;
use ruma::RoomId;
use serde_json::json;

use super::Server;

const ALICE: &str = "@alice:example.org";
const BOB: &str = "@bob:example.org";

fn errcode<T: std::fmt::Debug>(result: Result<T, MasterError>) -> String {
    match result {
        Err(MasterError::Matrix { errcode, .. }) => errcode,
        other => panic!("not a Matrix error: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_of_every_version_is_made_joined_and_talked_in() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        server.register(BOB).await;
        for version in RoomVersion::ALL {
            let name = format!("room{version}");
            let room = server.create_room(&name, ALICE, version).await;
            assert_eq!(
                errcode(server.send(&format!("{name}a"), &room, BOB, "no").await),
                "M_FORBIDDEN"
            );
            server.join(&room, BOB).await.expect("the room is public");
            let event = server
                .send(&format!("{name}b"), &room, BOB, "hello")
                .await
                .expect("a member may talk");
            check_last_event(&server, &room, &event).await;
        }
        server.stop().await;
    }
}

/// The last row of the log is this event, and the event says what it should.
async fn check_last_event(server: &Server, room: &str, event: &str) {
    let log = server.log().await;
    let Some(Row::Event(row)) = log.last().and_then(|frame| frame.rows.last()) else {
        panic!("no event at the end")
    };
    let store = server.replica.store();
    let stored = store
        .event(row.event)
        .await
        .expect("the store answers")
        .expect("the event is stored");
    assert_eq!(stored.body.event_id(), event);
    assert_eq!(stored.body.room_id(), room);
    assert_eq!(stored.body.prev_events().len(), 1);
    assert_eq!(stored.room_order, Some(6));
    assert_eq!(stored.body.depth(), 6);
}

/// In version 12 the create event names the room, and says no more of when it was made than the millisecond.
#[tokio::test(flavor = "multi_thread")]
async fn rooms_made_alike_at_the_same_time_are_two() {
    for database in databases().await {
        let server = Server::start_at(&database, || 1_700_000_000_000).await;
        server.register(ALICE).await;
        let first = server.create_room("first", ALICE, RoomVersion::V12).await;
        let second = server.create_room("second", ALICE, RoomVersion::V12).await;
        assert_ne!(first, second);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_and_go_by_the_rules() {
    use Membership::{Ban, Invite, Join, Leave};

    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        server.register(BOB).await;
        let room = server.create_room("room", ALICE, RoomVersion::V11).await;
        let step = async |sender, target, action| server.change_membership(&room, sender, target, action).await;
        assert_eq!(errcode(step(ALICE, BOB, Action::Kick).await), "M_FORBIDDEN");
        step(ALICE, BOB, Action::Invite).await.expect("invite");
        step(BOB, BOB, Action::Join).await.expect("join");
        let again = step(BOB, BOB, Action::Join)
            .await
            .expect("joining twice is joining once");
        assert_eq!(errcode(step(BOB, ALICE, Action::Kick).await), "M_FORBIDDEN");
        assert_eq!(errcode(step(ALICE, BOB, Action::Unban).await), "M_FORBIDDEN");
        step(ALICE, BOB, Action::Ban).await.expect("ban");
        assert_eq!(errcode(step(BOB, BOB, Action::Join).await), "M_FORBIDDEN");
        step(ALICE, BOB, Action::Unban).await.expect("unban");
        step(BOB, BOB, Action::Join).await.expect("join");
        step(BOB, BOB, Action::Leave).await.expect("leave");
        let memberships: Vec<Membership> = bobs_memberships(&server).await;
        assert_eq!(memberships, [Invite, Join, Ban, Leave, Join, Leave]);
        assert!(again.event_id.is_some());
        server.stop().await;
    }
}

async fn bobs_memberships(server: &Server) -> Vec<Membership> {
    let bob = server
        .replica
        .store()
        .user_nid(BOB.try_into().expect("an id"))
        .await
        .expect("the store answers");
    let log = server.log().await;
    let changes = log.iter().flat_map(|frame| &frame.rows).filter_map(|row| {
        let Row::Event(event) = row else { return None };
        event.membership
    });
    changes
        .filter(|(user, _)| Some(*user) == bob)
        .map(|(_, membership)| membership)
        .collect()
}

/// Every way to ask something of a room, by somebody.
fn requests(room: &str, sender: &str, event: &str) -> Vec<Kind> {
    let (room_id, sender) = (room.to_owned(), sender.to_owned());
    let say = |kind: &str, content: &str| SendEvent {
        room_id: room_id.clone(),
        sender: sender.clone(),
        kind: kind.to_owned(),
        content: content.to_owned().into(),
        ..SendEvent::default()
    };
    let change = |target: &str, action: Action| ChangeMembership {
        room_id: room_id.clone(),
        sender: sender.clone(),
        target: target.to_owned(),
        action: action.into(),
        ..ChangeMembership::default()
    };
    let mut requests = vec![
        Kind::SendEvent(say("m.room.message", "{}")),
        Kind::SendEvent(say("m.room.message", r#"{"real": 1.5}"#)),
        Kind::SendEvent(SendEvent {
            state_key: Some(String::new()),
            ..say("m.room.name", r#"{"name": "x"}"#)
        }),
        Kind::SendEvent(SendEvent {
            redacts: Some(event.to_owned()),
            ..say("m.room.redaction", "{}")
        }),
        Kind::SetReceipt(SetReceipt {
            room_id: room_id.clone(),
            user_id: sender.clone(),
            kind: 1,
            thread: None,
            event_id: event.to_owned(),
            ts_ms: None,
        }),
        Kind::SetTyping(SetTyping {
            room_id: room_id.clone(),
            user_id: sender.clone(),
            timeout_ms: 1000,
        }),
    ];
    for action in [Action::Join, Action::Knock, Action::Leave] {
        requests.push(Kind::ChangeMembership(change(&sender, action)));
    }
    for target in [ALICE, "@carol:example.org"] {
        for action in [Action::Invite, Action::Kick, Action::Ban, Action::Unban] {
            requests.push(Kind::ChangeMembership(change(target, action)));
        }
    }
    requests
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_do_not_tell_an_outsider_which_rooms_exist() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        server.register(BOB).await;
        let room = server.create_room("room", ALICE, RoomVersion::V11).await;
        let closed = SendEvent {
            room_id: room.clone(),
            sender: ALICE.to_owned(),
            kind: "m.room.join_rules".to_owned(),
            state_key: Some(String::new()),
            content: json!({"join_rule": "invite"}).to_string().into(),
            ..SendEvent::default()
        };
        server.run("c", Kind::SendEvent(closed)).await.expect("it is her room");
        let event = server.send("s", &room, ALICE, "secret").await.expect("alice may talk");
        let answer = async |id: String, kind: Kind| match server.run(&id, kind).await {
            Err(MasterError::Matrix { status, errcode, error }) => (status, errcode, error),
            other => panic!("not refused: {other:?}"),
        };
        let text = "There is no such room on this server, or you are not in it";
        let hidden = (403, "M_FORBIDDEN".to_owned(), text.to_owned());
        for place in [room.as_str(), "!unknown:example.org"] {
            for (at, request) in requests(place, BOB, &event).into_iter().enumerate() {
                let told = answer(format!("{at}{}", &place[..4]), request.clone()).await;
                assert_eq!(told, hidden, "{request:?}");
            }
        }
        // Who is invited knows of the room, and learns what is wrong.
        let invited = server.change_membership(&room, ALICE, BOB, Action::Invite).await;
        invited.expect("it is her room");
        let first = requests(&room, BOB, &event).swap_remove(0);
        let (_, _, told) = answer("invited".to_owned(), first).await;
        assert_eq!(told, "you are not joined to the room");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redaction_takes_the_content_and_says_so_in_the_log() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        server.register(BOB).await;
        let room = server.create_room("room", ALICE, RoomVersion::V11).await;
        server.join(&room, BOB).await.expect("the room is public");
        let secret = server.send("s", &room, ALICE, "secret").await.expect("alice may talk");
        let redact = |sender: &str| SendEvent {
            room_id: room.clone(),
            sender: sender.to_owned(),
            kind: "m.room.redaction".to_owned(),
            content: json!({}).to_string().into(),
            redacts: Some(secret.clone()),
            ..SendEvent::default()
        };
        assert_eq!(
            errcode(server.run("r1", Kind::SendEvent(redact(BOB))).await),
            "M_FORBIDDEN"
        );
        server.run("r2", Kind::SendEvent(redact(ALICE))).await.expect("her own");
        let store = server.replica.store();
        let info = store
            .room(<&RoomId>::try_from(room.as_str()).expect("an id"))
            .await
            .expect("the store answers");
        let nid = store
            .event_nid(info.expect("a room").nid, secret.as_str().try_into().expect("an id"))
            .await;
        let nid: EventNid = nid.expect("the store answers").expect("an event");
        let event = store.event(nid).await.expect("the store answers").expect("an event");
        assert_eq!(event.body.content(), "{}");
        assert!(event.redacted_by.is_some());
        let log = server.log().await;
        assert!(matches!(log.last().and_then(|f| f.rows.last()), Some(Row::Redaction { event, .. }) if *event == nid));
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_name_reaches_every_room_by_tasks() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        let rooms = [
            server.create_room("rooma", ALICE, RoomVersion::V12).await,
            server.create_room("roomb", ALICE, RoomVersion::V6).await,
        ];
        let profile = plexus_proto::SetProfile {
            user_id: ALICE.to_owned(),
            field: "displayname".to_owned(),
            value: Some(json!("Alice!").to_string().into()),
        };
        server
            .run("p", Kind::SetProfile(profile))
            .await
            .expect("her own profile");
        let store = server.replica.store();
        for room in rooms {
            let info = store.room(<&RoomId>::try_from(room.as_str()).expect("an id")).await;
            let info = info.expect("the store answers").expect("a room");
            let renamed = tokio::time::timeout(std::time::Duration::from_secs(10), async {
                loop {
                    let root = store
                        .room_root_at(info.nid, i64::MAX)
                        .await
                        .expect("the store answers")
                        .expect("a root");
                    let member = store.state_event(info.nid, root, "m.room.member", ALICE).await;
                    let member = member.expect("the store answers").expect("she is a member");
                    if member.body.content_string("displayname").as_deref() == Some("Alice!") {
                        return;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
            });
            renamed.await.expect("the member event follows within 10 s");
        }
        server.stop().await;
    }
}
