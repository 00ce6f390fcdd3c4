//! What is promised when things go wrong.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use plexus_core::{position::WriterId, room_version::RoomVersion, row::Row};
use plexus_proto::{CreateRoom, command::Kind};
use plexus_replication::MasterError;
use plexus_storage::{db::Statement, leases, tasks};
use plexus_testkit::databases;

use super::{Server, room_events};
use crate::{change_set::ChangeSet, sequencer::NotCommitted};

const ALICE: &str = "@alice:example.org";

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_change_set_errs_alone() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        let leader = server.master.leader_for_tests();
        let row = || Row::Profile {
            user: plexus_core::ids::UserNid(1),
        };
        let harmless = "-- test::harmless\nDELETE FROM tasks WHERE id = -1";
        let change = |statement| ChangeSet {
            rows: vec![row()],
            statements: vec![statement],
            asks_for_tasks: false,
        };
        let touches_nothing = || Statement::new(harmless, []).expecting(1);
        let duplicate = || Statement::new("-- test::bad\nINSERT INTO facts (name, value) VALUES (NULL, 'x')", []);
        let fine = || Statement::new(harmless, []);
        let submissions = [fine(), touches_nothing(), fine(), duplicate(), fine()].map(|statement| {
            let sequencer = leader.sequencer.clone();
            async move {
                sequencer
                    .commit(change(statement))
                    .await
                    .map(|committed| committed.frame.position)
            }
        });
        let outcomes = join_all(submissions).await;
        let poison: Vec<bool> = outcomes
            .iter()
            .map(|outcome| *outcome == Err(NotCommitted::Poison))
            .collect();
        assert_eq!(poison, [false, true, false, true, false], "{outcomes:?}");
        assert_eq!(
            server.log().await.iter().map(|frame| frame.rows.len()).sum::<usize>(),
            3
        );
        drop(leader);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_gets_the_first_answer_also_from_the_next_master() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        let create = || CreateRoom {
            room_version: 11,
            creator: ALICE.to_owned(),
            opaque_id: format!("{:x}", rand::random::<u64>()),
            events: room_events(ALICE, RoomVersion::V11),
            ..CreateRoom::default()
        };
        let room = server
            .run("create", Kind::CreateRoom(create()))
            .await
            .expect("the room is made");
        let room_id = room.room_id.clone().expect("it has an id");
        let sent = server
            .send("send", &room_id, ALICE, "once")
            .await
            .expect("the creator may talk");
        assert_eq!(server.send("send", &room_id, ALICE, "once").await, Ok(sent.clone()));
        let rows = server.log().await.len();
        server.kill();

        let next = Server::start(&database, "one").await;
        assert_eq!(next.run("create", Kind::CreateRoom(create())).await, Ok(room));
        assert_eq!(next.send("send", &room_id, ALICE, "once").await, Ok(sent));
        assert_eq!(next.log().await.len(), rows, "a retry writes nothing");
        next.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_command_twenty_times_at_once_runs_once() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        server.register(ALICE).await;
        let room = server.create_room("room", ALICE, RoomVersion::V10).await;
        let results = join_all((0..20).map(|_| server.send("same", &room, ALICE, "once"))).await;
        assert!(
            results.iter().all(|result| result.is_ok() && *result == results[0]),
            "{results:?}"
        );
        let events = server
            .log()
            .await
            .iter()
            .flat_map(|frame| &frame.rows)
            .filter(|row| matches!(row, Row::Event(_)))
            .count();
        assert_eq!(events, 5);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposed_master_commits_nothing() {
    for database in databases().await {
        let old = Server::start(&database, "old").await;
        old.register(ALICE).await;
        let room = old.create_room("room", ALICE, RoomVersion::V12).await;
        // As if `old` had been stopped for longer than its lease: it does not know yet.
        let epoch = old.master.leader_for_tests().epoch;
        leases::release(&old.db, WriterId::MASTER, "old", epoch).await.unwrap();
        let new = Server::start(&database, "new").await;
        let still_leading = old.master.leading();
        assert!(still_leading());
        let outcome = tokio::time::timeout(Duration::from_millis(500), old.send("late", &room, ALICE, "late")).await;
        assert!(outcome.is_err(), "{outcome:?}");
        new.send("new", &room, ALICE, "new").await.unwrap();
        let log = new.log().await;
        let events = log
            .iter()
            .flat_map(|frame| &frame.rows)
            .filter(|row| matches!(row, Row::Event(_)))
            .count();
        assert_eq!(events, 5, "four that make the room, and one message");
        assert!(!still_leading(), "it has not found out");
        old.kill();
        new.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_senders_in_one_room_make_one_line_of_events() {
    for database in databases().await {
        let server = Arc::new(Server::start(&database, "one").await);
        server.register(ALICE).await;
        let room = server.create_room("room", ALICE, RoomVersion::V12).await;
        let sends = (0..200).map(|i| {
            let (server, room) = (Arc::clone(&server), room.clone());
            async move { server.send(&format!("s{i}"), &room, ALICE, "x").await }
        });
        let sent: Result<Vec<String>, MasterError> = join_all(sends).await.into_iter().collect();
        assert_eq!(sent.expect("all are sent").len(), 200);
        let log = server.log().await;
        let orders: Vec<i64> = log
            .iter()
            .flat_map(|frame| &frame.rows)
            .filter_map(|row| {
                let Row::Event(event) = row else { return None };
                Some(event.room_order)
            })
            .collect();
        assert_eq!(orders, (1..=204).collect::<Vec<_>>());
        assert!(log.len() < 204, "nothing was committed together");
        Arc::into_inner(server).expect("nobody else has it").stop().await;
    }
}

/// A master that has been deposed and does not know it may be refused what the next one is about to do: it must not end the task.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_ended_or_put_off_only_by_who_leads() {
    for database in databases().await {
        let server = Server::start(&database, "one").await;
        let before = server.master.leader_for_tests();
        let next = Server::start(&database, "one").await;
        let leader = next.master.leader_for_tests();
        let task = tasks::Task {
            id: 7,
            due_ms: i64::MAX,
            command: vec![1].into(),
        };
        let db = &database.db;
        db.execute(tasks::insert(&task)).await.expect("the database answers");
        for (statement, rows) in [
            (tasks::postpone(7, i64::MAX - 1, before.epoch), 0),
            (tasks::end(7, before.epoch), 0),
            (tasks::postpone(7, i64::MAX - 1, leader.epoch), 1),
            (tasks::end(7, leader.epoch), 1),
        ] {
            assert_eq!(db.execute(statement).await.expect("the database answers"), rows);
        }
        drop((before, leader));
        server.kill();
        next.stop().await;
    }
}
