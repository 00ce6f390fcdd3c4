//! What is kept of rooms besides their events, and what one Command does to two of them.

use plexus_core::{
    room_version::RoomVersion,
    row::{Membership, Row},
};
use plexus_proto::{
    ChangeMembership, CreateRoom, DeleteAlias, ForgetRoom, Register, SendEvent, SetAlias, SetListed, UpgradeRoom,
    change_membership::Action, command::Kind,
};
use plexus_replication::MasterError;
use plexus_storage::rooms::RoomInfo;
use plexus_testkit::databases;
use ruma::{RoomAliasId, RoomId};
use serde_json::json;

use super::{Server, room_events};

const ALICE: &str = "@alice:example.org";
const BOB: &str = "@bob:example.org";
const GUEST: &str = "@guest:example.org";
const ALIAS: &str = "#door:example.org";

fn refusal<T: std::fmt::Debug>(result: Result<T, MasterError>) -> (u16, String) {
    match result {
        Err(MasterError::Matrix { status, errcode, .. }) => (status, errcode),
        other => panic!("not a Matrix error: {other:?}"),
    }
}

fn refused(status: u16, errcode: &str) -> (u16, String) {
    (status, errcode.to_owned())
}

fn create(alias: &str, listed: bool) -> Kind {
    Kind::CreateRoom(CreateRoom {
        room_version: 11,
        creator: ALICE.to_owned(),
        opaque_id: format!("{:x}", rand::random::<u64>()),
        events: room_events(ALICE, RoomVersion::V11),
        alias: Some(alias.to_owned()),
        listed,
    })
}

async fn room(server: &Server, room_id: &str) -> std::sync::Arc<RoomInfo> {
    let room_id = RoomId::parse(room_id).expect("an id");
    let room = server.replica.store().room(&room_id).await.expect("the store answers");
    room.expect("the room is there")
}

async fn room_of(server: &Server, alias: &str) -> Option<String> {
    let alias = RoomAliasId::parse(alias).expect("an alias");
    let store = server.replica.store();
    let stored = store.room_alias(&alias).await.expect("the store answers")?;
    let room = store.room_by_nid(stored.room).await.expect("the store answers");
    room.map(|room| room.id.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_is_one_rooms_whoever_asks_first() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        let other = server.create_room("other", ALICE, RoomVersion::V11).await;
        let set = async |id: &str| {
            let set = SetAlias {
                alias: ALIAS.to_owned(),
                room_id: other.clone(),
                creator: ALICE.to_owned(),
            };
            server.run(id, Kind::SetAlias(set)).await
        };
        let (created, made) = tokio::join!(server.run("c1", create(ALIAS, true)), set("s1"));
        let winner = match (&created, &made) {
            (Ok(created), Err(_)) => created.room_id.clone(),
            (Err(_), Ok(_)) => Some(other.clone()),
            both => panic!("one of them has it: {both:?}"),
        };
        assert_eq!(room_of(&server, ALIAS).await, winner);
        assert_eq!(
            refusal(server.run("c2", create(ALIAS, false)).await),
            refused(400, "M_ROOM_IN_USE")
        );
        assert_eq!(refusal(set("s2").await), refused(409, "M_UNKNOWN"));
        let delete = || {
            Kind::DeleteAlias(DeleteAlias {
                alias: ALIAS.to_owned(),
            })
        };
        server.run("d1", delete()).await.expect("it is there");
        assert_eq!(refusal(server.run("d2", delete()).await), refused(404, "M_NOT_FOUND"));
        let again = server.run("c3", create(ALIAS, true)).await.expect("it is free again");
        assert_eq!(room_of(&server, ALIAS).await, again.room_id);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_counts_who_is_in_the_room() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        server.register(BOB).await;
        let room_id = server.create_room("room", ALICE, RoomVersion::V12).await;
        let nid = room(&server, &room_id).await.nid;
        let steps = [
            (ALICE, Action::Invite, (1, 1)),
            (BOB, Action::Join, (2, 0)),
            (BOB, Action::Join, (2, 0)),
            (ALICE, Action::Ban, (1, 0)),
            (ALICE, Action::Unban, (1, 0)),
            (BOB, Action::Join, (2, 0)),
            (BOB, Action::Leave, (1, 0)),
        ];
        for (sender, action, counts) in steps {
            server
                .change_membership(&room_id, sender, BOB, action)
                .await
                .expect("allowed");
            let sizes = server
                .replica
                .store()
                .room_sizes(&[nid])
                .await
                .expect("the store answers");
            assert_eq!((sizes[0].joined, sizes[0].invited), counts, "{action:?}");
        }
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_forgotten_only_by_who_has_left_it() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        server.register(BOB).await;
        let room_id = server.create_room("room", ALICE, RoomVersion::V12).await;
        let forget = async |id: &str| {
            let forget = ForgetRoom {
                room_id: room_id.clone(),
                user_id: BOB.to_owned(),
            };
            server.run(id, Kind::ForgetRoom(forget)).await
        };
        assert_eq!(refusal(forget("f1").await), refused(403, "M_FORBIDDEN"));
        server.join(&room_id, BOB).await.expect("public");
        assert_eq!(refusal(forget("f2").await), refused(400, "M_UNKNOWN"));
        server
            .change_membership(&room_id, BOB, BOB, Action::Leave)
            .await
            .expect("leaves");
        forget("f3").await.expect("forgets");
        let log = server.log().await;
        let last = log.last().and_then(|frame| frame.rows.last());
        assert!(matches!(last, Some(Row::Forgotten { .. })), "{last:?}");
        server.stop().await;
    }
}

fn upgrade(room_id: &str, sender: &str) -> Kind {
    Kind::UpgradeRoom(UpgradeRoom {
        room_id: room_id.to_owned(),
        sender: sender.to_owned(),
        room_version: 12,
        opaque_id: "unused".to_owned(),
        additional_creators: Vec::new(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_is_one_commit_or_none() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        server.register(BOB).await;
        let made = server.run("c1", create(ALIAS, true)).await.expect("the room is made");
        let old = made.room_id.expect("it has an id");
        server.join(&old, BOB).await.expect("public");
        let frames = server.log().await.len();
        assert_eq!(
            refusal(server.run("u1", upgrade(&old, BOB)).await),
            refused(403, "M_FORBIDDEN")
        );
        assert_eq!(server.log().await.len(), frames, "nothing is left of a refused upgrade");
        let result = server.run("u2", upgrade(&old, ALICE)).await.expect("she may");
        assert_eq!(server.log().await.len(), frames + 1);
        let new = result.room_id.expect("the new room");
        assert_eq!(room_of(&server, ALIAS).await.as_deref(), Some(new.as_str()));
        let (from, to) = (room(&server, &old).await, room(&server, &new).await);
        assert_eq!(to.version, RoomVersion::V12);
        let store = server.replica.store();
        assert!(!store.is_listed(from.nid).await.expect("the store answers"));
        assert!(store.is_listed(to.nid).await.expect("the store answers"));
        let again = server.run("u2", upgrade(&old, ALICE)).await.expect("a retry");
        assert_eq!(again.room_id.as_deref(), Some(new.as_str()));
        // Both rooms go on from where the upgrade has left them.
        server.send("m1", &new, ALICE, "hello").await.expect("she may talk");
        server
            .send("m2", &old, ALICE, "goodbye")
            .await
            .expect("she may talk here too");
        assert_eq!(
            refusal(server.send("m3", &old, BOB, "no").await),
            refused(403, "M_FORBIDDEN")
        );
        let unlist = SetListed {
            room_id: new,
            listed: false,
        };
        server.run("l1", Kind::SetListed(unlist)).await.expect("unlisted");
        assert!(!store.is_listed(to.nid).await.expect("the store answers"));
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_come_and_go_with_the_rooms_guest_access() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        let guest = Register {
            user_id: GUEST.to_owned(),
            guest: true,
            ..Register::default()
        };
        server.run("guest", Kind::Register(guest)).await.expect("registered");
        let room_id = server.create_room("room", ALICE, RoomVersion::V11).await;
        let join = async |id: &str| {
            let join = ChangeMembership {
                room_id: room_id.clone(),
                sender: GUEST.to_owned(),
                target: GUEST.to_owned(),
                action: Action::Join.into(),
                guest: true,
                ..ChangeMembership::default()
            };
            server.run(id, Kind::ChangeMembership(join)).await
        };
        let access = async |id: &str, word: &str| {
            let state = SendEvent {
                room_id: room_id.clone(),
                sender: ALICE.to_owned(),
                kind: "m.room.guest_access".to_owned(),
                state_key: Some(String::new()),
                content: json!({"guest_access": word}).to_string().into(),
                ..SendEvent::default()
            };
            server.run(id, Kind::SendEvent(state)).await.expect("she may");
        };
        assert_eq!(refusal(join("j1").await), refused(403, "M_GUEST_ACCESS_FORBIDDEN"));
        access("a1", "can_join").await;
        join("j2").await.expect("let in");
        access("a2", "forbidden").await;
        let store = server.replica.store();
        let room = room(&server, &room_id).await;
        let user = store.user_nid(GUEST.try_into().expect("an id")).await;
        let user = user.expect("the store answers").expect("known");
        let is_out = async || {
            let members = store.room_members(room.nid).await.expect("the store answers");
            members
                .get(user)
                .is_some_and(|entry| entry.membership == Membership::Leave)
        };
        let leaves = async {
            while !is_out().await {
                tokio::task::yield_now().await;
            }
        };
        let patience = std::time::Duration::from_secs(30);
        tokio::time::timeout(patience, leaves).await.expect("the guest is out");
        server.stop().await;
    }
}
