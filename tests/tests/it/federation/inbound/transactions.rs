//! Transactions: taken once, in order, and answered when they are durable.

use plexus_core::room_version::RoomVersion;
use plexus_testkit::dag::Attempt;
use plexus_tests::{PATIENCE, Shared, Timeline, Topology, eventually, fresh_name};
use serde_json::json;

use super::{SPLIT, Visited};

/// For scenarios that kill processes.
static HARMED: Shared = Shared::federated_by_turns(Topology::Split);

#[test]
fn events_of_a_transaction_come_to_their_room_in_order() {
    SPLIT.run(async |cluster| {
        for version in RoomVersion::ALL {
            let mut room = Visited::new(&cluster, version).await;
            let events: Vec<_> = (0..5).map(|count| room.say(&format!("message {count}"))).collect();
            room.send_well(&events).await;
            let wanted: Vec<String> = (0..5).map(|count| format!("message {count}")).collect();
            room.until_seen(*events.last().expect("five")).await;
            assert_eq!(room.bodies().await, wanted, "{version:?}");
            // What has come comes again: nothing happens.
            room.send_well(&events).await;
            assert_eq!(room.bodies().await, wanted, "{version:?}");
        }
    });
}

#[test]
fn redactions_are_told_of_once_they_redact() {
    SPLIT.run(async |cluster| {
        let mut room = Visited::new(&cluster, RoomVersion::V11).await;
        let mut elsewhere = Visited::new(&cluster, RoomVersion::V11).await;
        let theirs = elsewhere.say("of another room");
        elsewhere.send_well(&[theirs]).await;
        let mut timeline = Timeline::start(&room.dave, &room.room.room()).await;
        let start = room.room.dag.last();
        let late = room.say_after(&[start], "late");
        let redact = |room: &mut Visited, target: &str| {
            let redaction = Attempt {
                kind: "m.room.redaction".to_owned(),
                content: json!({"redacts": target}),
                ..Attempt::message(&room.alice, "")
            };
            room.room.dag.add(&[start], &redaction)
        };
        let of_another_room = redact(&mut room, &elsewhere.id(theirs));
        let late_id = room.id(late);
        let early = redact(&mut room, &late_id);
        let sentinel = room.say_after(&[of_another_room, early], "sentinel");
        room.send_well(&[of_another_room, early, sentinel]).await;
        timeline
            .until(PATIENCE, "the sentinel", |timeline| {
                timeline.bodies().contains(&"sentinel")
            })
            .await;
        let told = |timeline: &Timeline, id: &str| timeline.events().iter().any(|event| event["event_id"] == *id);
        for redaction in [of_another_room, early] {
            assert!(!room.sees(redaction).await && !told(&timeline, &room.id(redaction)));
        }
        room.send_well(&[late]).await;
        room.until_seen(early).await;
        assert!(!room.sees(of_another_room).await);
        assert_eq!(room.bodies().await, ["sentinel"]);
        assert_eq!(elsewhere.bodies().await, ["of another room"]);
    });
}

#[test]
fn hostile_25_a_transaction_is_taken_once_whoever_it_comes_to() {
    SPLIT.run(async |cluster| {
        let mut room = Visited::new(&cluster, RoomVersion::V11).await;
        let (first, second) = (room.say("first"), room.say("second"));
        let id = fresh_name("txn");
        let readers = [cluster.direct("reader1"), cluster.direct("reader2")];
        let (server, peer) = (&room.server, &room.peer);
        let pdus = [room.json(first)];
        let (one, other) = tokio::join!(
            peer.transaction(&readers[0], server, &id, &pdus, &[]),
            peer.transaction(&readers[1], server, &id, &pdus, &[]),
        );
        let wanted = json!({"pdus": {room.id(first): {}}});
        assert_eq!((one.ok(), other.ok()), (wanted.clone(), wanted.clone()));
        // The same id with something else in it is the same transaction, at either process.
        for reader in &readers {
            let again = peer.transaction(reader, server, &id, &[room.json(second)], &[]).await;
            assert_eq!(again.ok(), wanted);
        }
        room.until_seen(first).await;
        assert_eq!(room.bodies().await, ["first"]);
        // Of another server the id is another one.
        let stranger = plexus_tests::Peer::start().await;
        let answer = stranger.transaction(&readers[0], server, &id, &[], &[]).await;
        assert_eq!(answer.ok(), json!({"pdus": {}}));
        room.send_well(&[second]).await;
        room.until_seen(second).await;
        assert_eq!(room.bodies().await, ["first", "second"]);
    });
}

#[test]
fn hostile_25_a_transaction_is_remembered_over_a_kill() {
    HARMED.run(async |cluster| {
        let mut room = Visited::new(&cluster, RoomVersion::V10).await;
        let (first, second) = (room.say("first"), room.say("second"));
        let id = fresh_name("txn");
        let send = async |room: &Visited, at| {
            let (http, pdus) = (cluster.direct("reader1"), [room.json(at)]);
            room.peer.transaction(&http, &room.server, &id, &pdus, &[]).await.ok()
        };
        let told = send(&room, first).await;
        for name in ["reader1", "master1", "master2"] {
            cluster.process(name).kill();
            cluster.process(name).start_again();
        }
        cluster.until_ready().await;
        assert_eq!(send(&room, second).await, told);
        assert_eq!(room.bodies().await, ["first"]);
    });
}

#[test]
fn hostile_4_a_transaction_has_fifty_events_and_a_hundred_messages_at_most() {
    SPLIT.run(async |cluster| {
        let mut room = Visited::new(&cluster, RoomVersion::V11).await;
        let events: Vec<_> = (0..51).map(|count| room.say(&format!("{count}"))).collect();
        room.send(&events).await.expect_error(400, "M_BAD_JSON");
        assert!(room.bodies().await.is_empty());
        room.send_well(&events[..50]).await;
        room.until_seen(events[49]).await;
        let edu = json!({"edu_type": "org.example.nothing", "content": {}});
        let edus = vec![edu; 101];
        let (server, http) = (&room.server, &room.http);
        let send = async |count: usize| {
            let id = fresh_name("txn");
            room.peer.transaction(http, server, &id, &[], &edus[..count]).await
        };
        send(101).await.expect_error(400, "M_BAD_JSON");
        send(100).await.ok();
    });
}

#[test]
fn a_room_of_which_nobody_here_knows_or_in_which_nobody_is_takes_nothing() {
    SPLIT.run(async |cluster| {
        let mut room = Visited::new(&cluster, RoomVersion::V11).await;
        let event = room.say("to nobody");
        let elsewhere = room.json(event).replace(&room.room.room(), "!nowhere:example.org");
        assert_eq!(room.send_pdus(&[&elsewhere]).await.ok(), json!({"pdus": {}}));
        room.dave.act(&room.room.room(), "leave", &json!({})).await.ok();
        let refused = async || {
            let told = room.send(&[event]).await.ok();
            let error = told["pdus"][room.id(event)]["error"].as_str();
            error.map(|_| ()).ok_or_else(|| told.to_string())
        };
        // The process that takes it may learn a moment later that he has left.
        eventually(PATIENCE, "the event to be refused", refused).await;
    });
}

#[test]
fn servers_that_the_access_control_list_excludes_are_not_heard() {
    SPLIT.run(async |cluster| {
        let mut room = Visited::new(&cluster, RoomVersion::V11).await;
        let last = room.room.dag.last();
        let rules = json!({"allow": ["*"], "deny": ["127.0.0.1"]});
        let attempt = Attempt::state(&room.alice, "m.room.server_acl", "", rules);
        let acl = room.room.dag.add(&[last], &attempt);
        room.send_well(&[acl]).await;
        let event = room.say("let me in");
        let told = room.send(&[event]).await.ok();
        let error = told["pdus"][room.id(event)]["error"].as_str().expect("it is refused");
        assert!(error.contains("access control list"), "{error}");
        assert!(!room.sees(event).await);
    });
}
