//! Collections.

use super::*;

async fn nodes(db: &Database, room: RoomNid) -> i64 {
    count(
        db,
        "-- test::nodes\nSELECT COUNT(*) FROM state_nodes WHERE room_nid = $1",
        room,
    )
    .await
}

/// A room whose past has states that nothing refers to once it is purged; its number of nodes comes back.
async fn room_with_dead_nodes(server: &Server) -> (String, i64) {
    server.register(ALICE).await;
    let room = server.create_room("room", ALICE, RoomVersion::V11).await;
    for topic in 0..60 {
        set_topic(server, &room, &topic.to_string()).await;
    }
    let said = talk(server, &room, ALICE, 2).await;
    server.run("p", purge(&room, &said[1], true)).await.expect("accepted");
    ended(&server.db, "purge").await;
    let nid = info(server.replica.store(), &room).await.nid;
    (room, nodes(&server.db, nid).await)
}

/// Collects a room's nodes; returns once nothing is left to do.
async fn collect(server: &Server, room: &str) {
    let begin = CollectNodes {
        room_id: room.to_owned(),
        ..CollectNodes::default()
    };
    let id = format!("g{}", rand::random::<u32>());
    server
        .run(&id, Kind::CollectNodes(begin))
        .await
        .expect("the room is there");
    let deadline = Instant::now() + PATIENCE;
    let sql = "-- test::tasks\nSELECT COUNT(*) FROM tasks WHERE due_ms <= $1";
    let soon = i64::MAX / 2;
    loop {
        // The collection after the grace stays.
        let rows = server
            .db
            .query(sql, &[soon.into()])
            .await
            .expect("the database answers");
        if rows[0].int(0).expect("a number") <= 1 {
            return;
        }
        assert!(Instant::now() < deadline, "the collection does not end");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_go_that_nothing_refers_to() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        let (room, before) = room_with_dead_nodes(&server).await;
        let nid = info(server.replica.store(), &room).await.nid;
        assert!(before > 60, "{before}");
        // After a purge there is a grace.
        let early = CollectNodes {
            room_id: room.clone(),
            grace_ms: i64::MAX / 4,
            ..CollectNodes::default()
        };
        server
            .run("early", Kind::CollectNodes(early))
            .await
            .expect("the room is there");
        assert_eq!(nodes(&server.db, nid).await, before);
        collect(&server, &room).await;
        let after = nodes(&server.db, nid).await;
        assert!(after < 10, "{after}");
        read_all(&server.db, &room).await;
        // The room goes on from the nodes that are left, and a second time finds nothing.
        set_topic(&server, &room, "after").await;
        let grown = nodes(&server.db, nid).await;
        collect(&server, &room).await;
        assert_eq!(nodes(&server.db, nid).await, grown);
        read_all(&server.db, &room).await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_survives_kills() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        let (room, _) = room_with_dead_nodes(&server).await;
        let nid = info(server.replica.store(), &room).await.nid;
        let begin = CollectNodes {
            room_id: room.clone(),
            ..CollectNodes::default()
        };
        server
            .run("begin", Kind::CollectNodes(begin))
            .await
            .expect("the room is there");
        let mut server = server;
        for life in 0..kills() {
            tokio::time::sleep(Duration::from_millis(life % 5)).await;
            server.kill();
            server = Server::start(&database, "one").await;
            talk(&server, &room, ALICE, 1).await;
            set_topic(&server, &room, &life.to_string()).await;
        }
        read_all(&server.db, &room).await;
        collect(&server, &room).await;
        let left = nodes(&server.db, nid).await;
        read_all(&server.db, &room).await;
        let most = 20 + 4 * i64::try_from(kills()).expect("small");
        assert!(left < most, "{left}");
        server.stop().await;
    }
}

/// A damaged node hides what it refers to: nothing that is older may be deleted.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_27_damage_is_no_reason_to_delete() {
    for missing in [false, true] {
        let database = sqlite_database().await;
        let server = Server::start(&database, "one").await;
        let (room, before) = room_with_dead_nodes(&server).await;
        let info = info(server.replica.store(), &room).await;
        let newest = server.replica.store().room_root_at(info.nid, i64::MAX).await;
        let NodeId(newest) = newest.expect("the store answers").expect("it has a state");
        let damage = if missing {
            "-- test::lose\nDELETE FROM state_nodes WHERE room_nid = $1 AND node_id = $2"
        } else {
            "-- test::damage\nUPDATE state_nodes SET checksum = checksum + 1 WHERE room_nid = $1 AND node_id = $2"
        };
        let damage = Statement::new(damage, [info.nid.0.into(), newest.into()]).expecting(1);
        server.db.execute(damage).await.expect("the database answers");
        collect(&server, &room).await;
        let left = nodes(&server.db, info.nid).await;
        assert_eq!(
            left,
            before - i64::from(missing),
            "the newest node is the one that is damaged"
        );
        server.stop().await;
    }
}
