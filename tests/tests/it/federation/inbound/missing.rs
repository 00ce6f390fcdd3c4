//! Events that refer to what is not known here: it is fetched, wherever it is to be had.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use plexus_core::room_version::RoomVersion;
use plexus_federation::request::encode as encoded;
use plexus_testkit::{
    Received,
    dag::{Attempt, Index},
};
use plexus_tests::{PATIENCE, Peer, Shared, Topology, encode, eventually, pdus};
use serde_json::{Value, json};

use super::{SPLIT, Visited};

/// For scenarios that kill processes.
static HARMED: Shared = Shared::federated_by_turns(Topology::Split);

pub(super) fn is(request: &Received, endpoint: &str) -> bool {
    request
        .target
        .starts_with(&format!("/_matrix/federation/v1/{endpoint}"))
}

/// How often a double was asked something.
pub(super) fn asked(peer: &Peer, endpoint: &str) -> usize {
    peer.remote
        .received()
        .iter()
        .filter(|request| is(request, endpoint))
        .count()
}

impl Visited {
    /// The event that a request is for, among these.
    fn single(&self, events: &[Index]) -> impl Fn(&Received) -> Option<(u16, Value)> + Send + Sync + use<> {
        let all: Vec<(String, Value)> = events
            .iter()
            .map(|at| (encoded(&self.id(*at)), pdus(&self.room.dag, &[*at]).remove(0)))
            .collect();
        move |request| {
            let id = request.target.strip_prefix("/_matrix/federation/v1/event/")?;
            let (_, pdu) = all.iter().find(|(known, _)| known == id)?;
            Some((200, json!({"origin": "x", "origin_server_ts": 1, "pdus": [pdu]})))
        }
    }
}

#[test]
fn what_lies_in_between_is_fetched() {
    SPLIT.run(async |cluster| {
        for version in [RoomVersion::V1, RoomVersion::V6, RoomVersion::V12] {
            let mut room = Visited::new(&cluster, version).await;
            let events: Vec<_> = (0..8).map(|count| room.say(&format!("message {count}"))).collect();
            let between = json!({"events": pdus(&room.room.dag, &events[..7])});
            room.peer
                .answers(move |request| is(request, "get_missing_events").then(|| (200, between.clone())));
            room.send_well(&events[7..]).await;
            room.until_seen(events[7]).await;
            let wanted: Vec<String> = (0..8).map(|count| format!("message {count}")).collect();
            assert_eq!(room.bodies().await, wanted, "{version:?}");
            assert_eq!(asked(&room.peer, "state_ids"), 0);
        }
    });
}

#[test]
fn a_hole_that_cannot_be_filled_is_passed_over_with_the_state_behind_it() {
    SPLIT.run(async |cluster| {
        let mut room = Visited::new(&cluster, RoomVersion::V11).await;
        // In the hole somebody comes in who speaks after it.
        let bob = room.peer.user("bob");
        let last = room.room.dag.last();
        let join = room.room.dag.add(&[last], &Attempt::member(&bob, &bob, "join"));
        room.say("lost");
        let before = room.room.dag.last();
        let spoken = room.room.dag.add(&[before], &Attempt::message(&bob, "after the hole"));
        let dag = &room.room.dag;
        let state = dag.facts.state(dag.events[spoken].before);
        let state: Vec<Index> = state.values().map(|nid| plexus_testkit::dag::index(*nid)).collect();
        let chain: Vec<String> = (0..4).map(|at| room.id(at)).collect();
        let ids = json!({"pdu_ids": state.iter().map(|at| room.id(*at)).collect::<Vec<_>>(), "auth_chain_ids": chain});
        let single = room.single(&[join]);
        room.peer.answers(move |request| {
            if is(request, "get_missing_events") {
                return Some((200, json!({"events": []})));
            }
            if is(request, "state_ids") {
                return Some((200, ids.clone()));
            }
            single(request)
        });
        room.send_well(&[spoken]).await;
        room.until_seen(spoken).await;
        assert_eq!(room.bodies().await, ["after the hole"]);
        let members = format!("/_matrix/client/v3/rooms/{}/joined_members", encode(&room.room.room()));
        eventually(PATIENCE, "Bob to be in the room", async || {
            let joined = room.dave.http.get(&members).await.ok();
            joined["joined"].get(&bob).map(|_| ()).ok_or_else(|| joined.to_string())
        })
        .await;
        // What follows it goes on as usual.
        let more = room.say("and on");
        room.send_well(&[more]).await;
        room.until_seen(more).await;
    });
}

#[test]
fn history_is_fetched_for_who_reads_back() {
    SPLIT.run(async |cluster| {
        let mut room = Visited::new(&cluster, RoomVersion::V11).await;
        let base = room.room.dag.last();
        let lost: Vec<Index> = (0..30).map(|count| room.say(&format!("lost {count}"))).collect();
        let after = room.say("after the hole");
        let state: Vec<String> = (0..=base).map(|at| room.id(at)).collect();
        let ids = json!({"pdu_ids": &state[..], "auth_chain_ids": []});
        // At first nobody tells what was in the hole.
        let is_told = Arc::new(AtomicBool::new(false));
        let newest = pdus(&room.room.dag, &lost[15..]);
        let oldest = pdus(&room.room.dag, &lost[..15]);
        let (told, middle) = (Arc::clone(&is_told), encoded(&room.id(lost[15])));
        room.peer.answers(move |request| {
            if is(request, "get_missing_events") {
                return Some((200, json!({"events": []})));
            }
            if is(request, "state_ids") {
                return Some((200, ids.clone()));
            }
            let is_asked = is(request, "backfill") && told.load(SeqCst);
            let further = request.target.contains(&middle);
            is_asked.then(|| (200, json!({"pdus": if further { &oldest } else { &newest }})))
        });
        is_told.store(true, SeqCst);
        room.send_well(&[after]).await;
        room.until_seen(after).await;
        // Nothing of it is news.
        let wanted: Vec<String> = (0..30).map(|count| format!("lost {count}")).collect();
        let mut read: Vec<String> = Vec::new();
        let mut from = String::new();
        loop {
            let query = format!("&limit=8{from}");
            let page = room.dave.messages(&room.room.room(), "b", &query).await.ok();
            let events = page["chunk"].as_array().expect("a page").clone();
            let bodies = events.iter().filter_map(|event| event["content"]["body"].as_str());
            read.extend(bodies.map(str::to_owned));
            let Some(end) = page["end"].as_str() else { break };
            from = format!("&from={end}");
        }
        read.reverse();
        assert_eq!(read[..30], wanted);
        assert_eq!(read[30..], ["after the hole"]);
        let synced = room.dave.sync(None, 0, "").await.ok();
        let joined = &synced["rooms"]["join"][room.room.room()];
        let news = joined["timeline"]["events"].as_array().expect("a timeline");
        let is_lost = |event: &Value| {
            event["content"]["body"]
                .as_str()
                .is_some_and(|body| body.starts_with("lost"))
        };
        assert!(!news.iter().any(is_lost), "{joined}");
        // Once it is here it is here.
        let asked_before = asked(&room.peer, "backfill");
        assert_eq!(room.bodies().await.len(), 31);
        assert_eq!(asked(&room.peer, "backfill"), asked_before);
    });
}

#[test]
fn seed_5317_events_that_allow_an_event_are_fetched_and_a_failure_blocks_nothing() {
    SPLIT.run(async |cluster| {
        let mut room = Visited::new(&cluster, RoomVersion::V11).await;
        let (bob, base) = (room.peer.user("bob"), room.room.dag.last());
        // On a branch that nobody here has heard of, somebody joins; his words follow what is known, by his own account.
        let join = room.room.dag.add(&[base], &Attempt::member(&bob, &bob, "join"));
        let attempt = Attempt::message(&bob, "I am in");
        let auth = [0, 2, join];
        let spoken = room.room.dag.add_with_auth(&[join], &auth, &attempt);
        let orphan = room
            .room
            .dag
            .add_with_auth(&[base], &[0, 2, spoken], &Attempt::message(&bob, "no such thing"));
        let single = room.single(&[join]);
        room.peer.answers(move |request| {
            if is(request, "event_auth") {
                return Some((500, json!({"errcode": "M_UNKNOWN", "error": "no"})));
            }
            single(request)
        });
        let other = room.say_after(&[base], "never mind them");
        room.send_well(&[orphan, spoken, other]).await;
        room.until_seen(other).await;
        // The event that allows it is known now, but not what it follows: that is not to be had.
        eventually(PATIENCE, "the failure to be met", async || {
            if asked(&room.peer, "event_auth") > 0 {
                Ok(())
            } else {
                Err("it is not".to_owned())
            }
        })
        .await;
        let more = room.say_after(&[other], "it goes on");
        room.send_well(&[more]).await;
        room.until_seen(more).await;
    });
}

#[test]
fn another_server_is_asked_when_one_does_not_answer() {
    SPLIT.run(async |cluster| {
        let mut room = Visited::new(&cluster, RoomVersion::V11).await;
        // Another server in the room, whose users do not matter.
        let helper = Peer::start().await;
        let (carol, last) = (helper.user("carol"), room.room.dag.last());
        let join = room.room.dag.add(&[last], &Attempt::member(&carol, &carol, "join"));
        room.send_well(&[join]).await;
        room.until_seen(join).await;
        let (gone, found) = (room.say("lost"), room.say("found"));
        let between = json!({"events": pdus(&room.room.dag, &[gone])});
        helper.answers(move |request| is(request, "get_missing_events").then(|| (200, between.clone())));
        room.peer.answers(|_| Some((500, json!({}))));
        room.send_well(&[found]).await;
        room.until_seen(found).await;
        assert_eq!(room.bodies().await, ["lost", "found"]);
        assert!(asked(&helper, "get_missing_events") > 0);
    });
}

#[test]
fn a_stuck_room_delays_only_itself() {
    SPLIT.run(async |cluster| {
        let mut stuck = Visited::new(&cluster, RoomVersion::V11).await;
        stuck.say("lost");
        let waiting = stuck.say("waiting");
        stuck.peer.falls_silent();
        stuck.send_well(&[waiting]).await;
        eventually(PATIENCE, "the double to be asked", async || {
            if asked(&stuck.peer, "get_missing_events") > 0 {
                Ok(())
            } else {
                Err("it is not".to_owned())
            }
        })
        .await;
        // While nothing is answered, the same server's other room goes on, and the first one too.
        let branch = stuck.say_after(&[3], "another branch");
        stuck.send_well(&[branch]).await;
        stuck.until_seen(branch).await;
        let Visited { peer, .. } = stuck;
        let mut other = Visited::of(&cluster, peer, RoomVersion::V11).await;
        let event = other.say("elsewhere");
        other.send_well(&[event]).await;
        other.until_seen(event).await;
    });
}

#[test]
fn what_was_acknowledged_comes_although_every_process_was_killed() {
    HARMED.run(async |cluster| {
        let mut room = Visited::new(&cluster, RoomVersion::V11).await;
        let (lost, newest) = (room.say("lost"), room.say("acknowledged"));
        let is_back = Arc::new(AtomicBool::new(false));
        let between = json!({"events": pdus(&room.room.dag, &[lost])});
        let back = Arc::clone(&is_back);
        room.peer.answers(move |request| {
            let missing = is(request, "get_missing_events") && back.load(SeqCst);
            missing.then(|| (200, between.clone()))
        });
        room.send_well(&[newest]).await;
        for name in ["reader1", "reader2", "master1", "master2"] {
            cluster.process(name).kill();
        }
        is_back.store(true, SeqCst);
        for name in ["reader1", "reader2", "master1", "master2"] {
            cluster.process(name).start_again();
        }
        cluster.until_ready().await;
        // A process that died on the work held the room for two minutes at most; here nobody had begun, or had given it back.
        room.until_seen(newest).await;
        assert_eq!(room.bodies().await, ["lost", "acknowledged"]);
    });
}
