//! Purges.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_takes_the_past_and_leaves_the_state() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        server.register(BOB).await;
        let room = server.create_room("room", ALICE, RoomVersion::V11).await;
        server.join(&room, BOB).await.expect("it is public");
        let old_topic = set_topic(&server, &room, "old").await;
        let said = talk(&server, &room, BOB, 20).await;
        let read = SetReceipt {
            room_id: room.clone(),
            user_id: ALICE.to_owned(),
            kind: ReceiptKind::Read.code(),
            thread: None,
            event_id: said[3].clone(),
            ts_ms: None,
        };
        server.run("read", Kind::SetReceipt(read)).await.expect("she may read");
        let redact = SendEvent {
            room_id: room.clone(),
            sender: ALICE.to_owned(),
            kind: "m.room.redaction".to_owned(),
            content: json!({"redacts": old_topic}).to_string().into(),
            redacts: Some(old_topic.clone()),
            ..SendEvent::default()
        };
        let redaction = server.run("redact", Kind::SendEvent(redact)).await.expect("she may");
        let later = talk(&server, &room, BOB, 10).await;
        let point = &later[25];
        server
            .run("purge", purge(&room, point, true))
            .await
            .expect("there is such an event");
        let removal = ended(&server.db, "purge").await;
        assert_eq!(removal.status, RemovalStatus::Complete, "{removal:?}");
        assert_eq!(&*removal.report, br#"{"purged_events":24}"#);

        let left = read_all(&server.db, &room).await;
        assert_eq!(left.first().expect("some are left").body.event_id(), point.as_str());
        assert_eq!(left.len(), 5);
        let store = server.replica.store();
        let nid = info(store, &room).await.nid;
        for (id, is_kept) in [
            (&said[0], false),
            (&said[3], true),
            (&old_topic, true),
            (redaction.event_id.as_ref().expect("an id"), true),
            (&later[24], false),
            (point, true),
        ] {
            let id = ruma::EventId::parse(id.as_str()).expect("an id");
            let known = store.known_event(nid, &id).await.expect("the store answers");
            assert_eq!(known.is_some(), is_kept, "{id}");
            if let Some(known) = known.filter(|known| known.body.event_id() != point.as_str()) {
                assert_eq!((known.status, known.room_order), (EventStatus::Outlier, None), "{id}");
            }
        }
        // The room goes on.
        talk(&server, &room, BOB, 1).await;
        set_topic(&server, &room, "new").await;
        assert_eq!(read_all(&server.db, &room).await.len(), 7);
        let members = store.room_members(nid).await.expect("the store answers");
        assert_eq!(members.joined(), 2);
        server.log().await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_local_users_said_stays_unless_it_is_asked_for() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        let room = server.create_room("room", ALICE, RoomVersion::V12).await;
        let said = talk(&server, &room, ALICE, 5).await;
        server.run("p", purge(&room, &said[4], false)).await.expect("accepted");
        ended(&server.db, "purge").await;
        let store = server.replica.store();
        let nid = info(store, &room).await.nid;
        assert_eq!(timeline(store, &room).await.len(), 1);
        let id = ruma::EventId::parse(said[0].as_str()).expect("an id");
        let kept = store.known_event(nid, &id).await.expect("the store answers");
        assert_eq!(kept.map(|kept| kept.status), Some(EventStatus::Outlier));
        for (event, status) in [("$nowhere", 404), (&*said[0], 400)] {
            let other = PurgeHistory {
                room_id: room.clone(),
                removal_id: "other".to_owned(),
                event_id: event.to_owned(),
                delete_local_events: true,
            };
            let refused = server.run(&format!("o{status}"), Kind::PurgeHistory(other)).await;
            assert!(
                matches!(refused, Err(MasterError::Matrix { status: given, .. }) if given == status),
                "{event}: {refused:?}"
            );
        }
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_survives_kills() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        let room = server.create_room("room", ALICE, RoomVersion::V11).await;
        let said = talk(&server, &room, ALICE, 1_600).await;
        server
            .run("p", purge(&room, &said[1_599], true))
            .await
            .expect("accepted");
        let server = kill_until_ended(server, &database, "purge").await;
        assert_eq!(read_all(&server.db, &room).await.len(), 1);
        let removal = ended(&server.db, "purge").await;
        assert_eq!(&*removal.report, br#"{"purged_events":1599}"#);
        talk(&server, &room, ALICE, 1).await;
        assert_eq!(read_all(&server.db, &room).await.len(), 2);
        server.log().await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_purged_event_is_told_once() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        let room = server.create_room("room", ALICE, RoomVersion::V11).await;
        let said = talk(&server, &room, ALICE, 600).await;
        let all: BTreeSet<i64> = timeline(server.replica.store(), &room)
            .await
            .iter()
            .map(|event| event.nid.0)
            .collect();
        server.run("p", purge(&room, &said[599], true)).await.expect("accepted");
        ended(&server.db, "purge").await;
        let mut told = Vec::new();
        for row in server.log().await.into_iter().flat_map(|frame| frame.rows) {
            if let Row::Purged { events, whole, .. } = row {
                assert!(!whole);
                told.extend(events.iter().map(|event| event.0));
            }
        }
        assert_eq!(told.len(), all.len() - 1);
        assert!(
            told.iter().collect::<BTreeSet<_>>().len() == told.len() && told.iter().all(|event| all.contains(event))
        );
        server.stop().await;
    }
}
