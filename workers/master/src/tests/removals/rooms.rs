//! Deletions.

use super::*;

fn deletion(room: &str) -> DeleteRoom {
    DeleteRoom {
        room_id: room.to_owned(),
        removal_id: "deletion".to_owned(),
        user_id: ALICE.to_owned(),
        purge: true,
        ..DeleteRoom::default()
    }
}

/// A room with everything that one can have, which nobody else has.
async fn furnished_room(server: &Server) -> String {
    server.register(ALICE).await;
    server.register(BOB).await;
    let room = server.create_room("room", ALICE, RoomVersion::V11).await;
    server.join(&room, BOB).await.expect("it is public");
    let said = talk(server, &room, BOB, 700).await;
    let read = SetReceipt {
        room_id: room.clone(),
        user_id: ALICE.to_owned(),
        kind: ReceiptKind::Read.code(),
        thread: None,
        event_id: said[3].clone(),
        ts_ms: None,
    };
    server.run("read", Kind::SetReceipt(read)).await.expect("she may read");
    let alias = SetAlias {
        alias: "#door:example.org".to_owned(),
        room_id: room.clone(),
        creator: ALICE.to_owned(),
    };
    server.run("alias", Kind::SetAlias(alias)).await.expect("it is free");
    let data = plexus_proto::SetAccountData {
        user_id: ALICE.to_owned(),
        room_id: Some(room.clone()),
        kind: "m.tag".to_owned(),
        content: json!({"tags": {"u.work": {}}}).to_string().into(),
    };
    server
        .run("tag", Kind::SetAccountData(data))
        .await
        .expect("she is in it");
    room
}

/// Everything that may be left of a room, but for what says that it was there.
async fn remains(db: &Database, room: RoomNid) -> Vec<(&'static str, i64)> {
    let mut found = Vec::new();
    for (name, sql) in [
        (
            "events",
            "-- test::events\nSELECT COUNT(*) FROM events WHERE room_nid = $1",
        ),
        (
            "nodes",
            "-- test::nodes\nSELECT COUNT(*) FROM state_nodes WHERE room_nid = $1",
        ),
        (
            "receipts",
            "-- test::receipts\nSELECT COUNT(*) FROM receipts WHERE room_nid = $1",
        ),
        (
            "relations",
            "-- test::relations\nSELECT COUNT(*) FROM relations WHERE room_nid = $1",
        ),
        (
            "highlights",
            "-- test::highlights\nSELECT COUNT(*) FROM highlights WHERE room_nid = $1",
        ),
        (
            "account_data",
            "-- test::data\nSELECT COUNT(*) FROM account_data WHERE room_nid = $1",
        ),
        (
            "aliases",
            "-- test::aliases\nSELECT COUNT(*) FROM room_aliases WHERE room_nid = $1",
        ),
        (
            "joined",
            "-- test::joined\nSELECT joined FROM room_heads WHERE room_nid = $1",
        ),
    ] {
        let rows = count(db, sql, room).await;
        if rows > 0 {
            found.push((name, rows));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_survives_kills_and_leaves_that_users_have_left() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        let room = furnished_room(&server).await;
        let nid = info(server.replica.store(), &room).await.nid;
        let greatest = next_nids(&server.db).await.expect("the database answers").event;
        server
            .run("d", Kind::DeleteRoom(deletion(&room)))
            .await
            .expect("there is such a room");
        let server = kill_until_ended(server, &database, "deletion").await;
        assert_eq!(remains(&server.db, nid).await, []);
        let removal = ended(&server.db, "deletion").await;
        let report: Value = serde_json::from_slice(&removal.report).expect("JSON");
        let kicked: BTreeSet<&str> = report["kicked_users"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(kicked, BTreeSet::from([ALICE, BOB]), "{report}");
        assert_eq!(report["local_aliases"], json!(["#door:example.org"]));

        let store = server.replica.store();
        for user in [ALICE, BOB] {
            let user_id = UserId::parse(user).expect("an id");
            let user = store.user_nid(&user_id).await.expect("the store answers");
            let rooms = store.user_rooms(user.expect("he is there")).await;
            let member = rooms.expect("the store answers").get(nid).expect("he has been there");
            assert_eq!((member.membership, member.forgotten), (Membership::Leave, true));
        }
        let members = store.room_members(nid).await.expect("the store answers");
        assert_eq!(members.joined(), 0);
        // It is as if there were no such room, and nothing that it had is given anybody else.
        for refused in [
            server.send("x", &room, ALICE, "anybody?").await.map(|_| ()),
            server.join(&room, BOB).await.map(|_| ()),
        ] {
            assert!(
                matches!(refused, Err(MasterError::Matrix { status: 403, .. })),
                "{refused:?}"
            );
        }
        assert!(next_nids(&server.db).await.expect("the database answers").event >= greatest);
        server.stop().await;
        let server = Server::start(&database, "one").await;
        let other = server.create_room("other", ALICE, RoomVersion::V11).await;
        let first = &timeline(server.replica.store(), &other).await[0];
        assert!(first.nid.0 >= greatest && first.room != nid, "{first:?}");
        // Once more finds nothing to do.
        let again = DeleteRoom {
            removal_id: "again".to_owned(),
            ..deletion(&room)
        };
        server
            .run("a", Kind::DeleteRoom(again))
            .await
            .expect("the room is known");
        assert_eq!(ended(&server.db, "again").await.status, RemovalStatus::Complete);
        let alias = RoomAliasId::parse("#door:example.org").expect("an alias");
        let stored = server.replica.store().room_alias(&alias).await;
        assert_eq!(stored.expect("the store answers"), None);
        server.log().await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_were_in_a_room_come_into_the_one_that_replaces_it() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        let room = furnished_room(&server).await;
        let invited = "@carol:example.org";
        server.register(invited).await;
        server
            .change_membership(&room, ALICE, invited, Action::Invite)
            .await
            .expect("she may");
        let admin = "@root:example.org";
        let register = Register {
            user_id: admin.to_owned(),
            admin: true,
            ..Register::default()
        };
        server
            .run("root", Kind::Register(register))
            .await
            .expect("the name is free");
        let new = server.create_room("new", admin, RoomVersion::V11).await;
        let shutdown = DeleteRoom {
            user_id: admin.to_owned(),
            block: true,
            purge: false,
            new_room_id: Some(new.clone()),
            ..deletion(&room)
        };
        server
            .run("d", Kind::DeleteRoom(shutdown))
            .await
            .expect("there is such a room");
        assert_eq!(ended(&server.db, "deletion").await.status, RemovalStatus::Complete);
        let store = server.replica.store();
        let (old, new_nid) = (info(store, &room).await.nid, info(store, &new).await.nid);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let members = store.room_members(new_nid).await.expect("the store answers");
            if members.joined() == 3 {
                break;
            }
            assert!(Instant::now() < deadline, "{members:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(store.room_members(old).await.expect("the store answers").joined(), 0);
        let alias = RoomAliasId::parse("#door:example.org").expect("an alias");
        let stored = store.room_alias(&alias).await.expect("the store answers");
        assert_eq!(stored.map(|stored| stored.room), Some(new_nid));
        // What was said is still there, and nobody comes in.
        assert!(timeline(store, &room).await.len() > 700);
        let refused = server.join(&room, BOB).await;
        assert!(
            matches!(&refused, Err(MasterError::Matrix { error, .. }) if error.contains("blocked")),
            "{refused:?}"
        );
        let unblock = BlockRoom {
            room_id: room.clone(),
            user_id: admin.to_owned(),
            block: false,
        };
        server.run("u", Kind::BlockRoom(unblock)).await.expect("it may be");
        server.join(&room, BOB).await.expect("the room is open again");
        server.stop().await;
    }
}
