//! Holes in the middle of a room's history, met from before them or by somebody who looks for a time in them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use plexus_core::room_version::RoomVersion;
use plexus_federation::request::encode as encoded;
use plexus_testkit::dag::Index;
use plexus_tests::{Answer, Cluster, encode, pdus};
use serde_json::{Value, json};

use super::{
    SPLIT, Visited,
    missing::{asked, is},
};

/// Events that the double gives at once.
const GIVEN_MAX: usize = 10;
/// Events in the hole: more than one request fetches.
const LOST: usize = 130;

/// A room with something before a hole and something after it.
struct Holed {
    room: Visited,
    lost: Vec<Index>,
    late: Vec<Index>,
    /// Whether the double tells what was in the hole.
    is_told: Arc<AtomicBool>,
    /// What it says to be closest to any time.
    closest: Option<Index>,
}

impl Holed {
    async fn new(cluster: &Cluster, closest: Option<usize>) -> Self {
        let mut room = Visited::new(cluster, RoomVersion::V11).await;
        let early: Vec<Index> = (0..3).map(|count| room.say(&format!("early {count}"))).collect();
        room.send_well(&early).await;
        let base = room.room.dag.last();
        let lost: Vec<Index> = (0..LOST).map(|count| room.say(&format!("lost {count}"))).collect();
        let late: Vec<Index> = (0..3).map(|count| room.say(&format!("late {count}"))).collect();
        let closest = closest.map(|at| lost[at]);
        let holed = Self {
            is_told: Arc::new(AtomicBool::new(false)),
            room,
            lost,
            late,
            closest,
        };
        holed.answer(base);
        holed.room.send_well(&holed.late).await;
        holed.room.until_seen(holed.late[2]).await;
        holed.is_told.store(true, SeqCst);
        holed
    }

    fn answer(&self, base: Index) {
        let room = &self.room;
        let state: Vec<String> = (0..5).map(|at| room.id(at)).collect();
        let ids = json!({"pdu_ids": state, "auth_chain_ids": []});
        let all: Vec<Index> = (0..room.room.dag.events.len()).collect();
        let history: Vec<(String, Value)> = all
            .iter()
            .map(|at| (encoded(&room.id(*at)), pdus(&room.room.dag, &[*at]).remove(0)))
            .collect();
        let closest = self.closest.map(|at| {
            let ts = room.room.dag.events[at].body.origin_server_ts();
            json!({"event_id": room.id(at), "origin_server_ts": ts})
        });
        assert!(base < self.lost[0]);
        let is_told = Arc::clone(&self.is_told);
        room.peer.answers(move |request| {
            if is(request, "get_missing_events") {
                return Some((200, json!({"events": []})));
            }
            if is(request, "state_ids") {
                return Some((200, ids.clone()));
            }
            if is(request, "timestamp_to_event") {
                return Some((200, closest.clone()?));
            }
            if !is(request, "backfill") || !is_told.load(SeqCst) {
                return None;
            }
            let end = history.iter().position(|(id, _)| request.target.contains(id))?;
            let given = history[..=end].iter().rev().take(GIVEN_MAX);
            Some((
                200,
                json!({"pdus": given.map(|(_, pdu)| pdu.clone()).collect::<Vec<_>>()}),
            ))
        });
    }

    /// All messages as they are read forward, and how many pages that took.
    async fn read(&self) -> (Vec<String>, usize) {
        let (mut read, mut pages, mut from) = (Vec::new(), 0, String::new());
        loop {
            let query = format!("&limit=7{from}");
            let page = self.room.dave.messages(&self.room.room.room(), "f", &query).await.ok();
            pages += 1;
            assert!(pages < 100, "it does not end: {read:?}");
            let events = page["chunk"].as_array().expect("a page").clone();
            let bodies = events.iter().filter_map(|event| event["content"]["body"].as_str());
            read.extend(bodies.map(str::to_owned));
            let Some(end) = page["end"].as_str() else { break };
            from = format!("&from={}", encode(end));
        }
        (read, pages)
    }

    fn ts(&self, at: Index) -> u64 {
        self.room.room.dag.events[at].body.origin_server_ts()
    }

    async fn find(&self, ts: u64, direction: &str) -> Answer {
        let room = encode(&self.room.room.room());
        let target = format!("/_matrix/client/v1/rooms/{room}/timestamp_to_event?ts={ts}&dir={direction}");
        self.room.dave.http.get(&target).await
    }
}

fn numbered(what: &str, count: usize) -> impl Iterator<Item = String> + use<'_> {
    (0..count).map(move |count| format!("{what} {count}"))
}

#[test]
fn who_reads_forward_into_a_hole_has_it_filled() {
    SPLIT.run(async |cluster| {
        let holed = Holed::new(&cluster, None).await;
        let wanted: Vec<String> = numbered("early", 3)
            .chain(numbered("lost", LOST))
            .chain(numbered("late", 3))
            .collect();
        let (read, _) = holed.read().await;
        assert_eq!(read, wanted);
        // Once it is here it is here.
        let asked_before = asked(&holed.room.peer, "backfill");
        assert!(asked_before >= LOST / GIVEN_MAX, "{asked_before}");
        assert_eq!(holed.read().await.0, wanted);
        assert_eq!(asked(&holed.room.peer, "backfill"), asked_before);
    });
}

#[test]
fn who_reads_forward_goes_on_over_a_hole_that_nobody_fills() {
    SPLIT.run(async |cluster| {
        let holed = Holed::new(&cluster, None).await;
        holed.is_told.store(false, SeqCst);
        let wanted: Vec<String> = numbered("early", 3).chain(numbered("late", 3)).collect();
        let (read, pages) = holed.read().await;
        assert_eq!(read, wanted);
        assert!(pages <= 3, "{pages}");
        assert_eq!(asked(&holed.room.peer, "backfill"), 1);
    });
}

#[test]
fn a_time_in_a_hole_is_found_by_another_server_and_can_be_gone_to() {
    SPLIT.run(async |cluster| {
        for direction in ["f", "b"] {
            let holed = Holed::new(&cluster, Some(70)).await;
            let peer = &holed.room.peer;
            // Where nothing is missing nobody is asked.
            let late = holed.late[1];
            let found = holed.find(holed.ts(late), direction).await.ok();
            assert_eq!(found["event_id"], holed.room.id(late));
            assert_eq!(asked(peer, "timestamp_to_event"), 0);
            let wanted = holed.lost[70];
            let found = holed.find(holed.ts(wanted), direction).await.ok();
            assert_eq!(
                found,
                json!({"event_id": holed.room.id(wanted), "origin_server_ts": holed.ts(wanted)})
            );
            assert_eq!(asked(peer, "timestamp_to_event"), 1);
            let room = encode(&holed.room.room.room());
            let id = encode(&holed.room.id(wanted));
            let target = format!("/_matrix/client/v3/rooms/{room}/context/{id}?limit=4");
            let context = holed.room.dave.http.get(&target).await.ok();
            assert_eq!(context["events_before"][0]["content"]["body"], "lost 69");
            assert_eq!(context["events_after"][0]["content"]["body"], "lost 71");
            // It is here now.
            holed.find(holed.ts(wanted), direction).await.ok();
            assert_eq!(asked(peer, "timestamp_to_event"), 1);
        }
    });
}

#[test]
fn a_time_in_a_hole_that_nobody_knows_is_answered_by_what_is_here() {
    SPLIT.run(async |cluster| {
        // The double knows nothing, and then something on the wrong side of the time.
        for closest in [None, Some(20)] {
            let holed = Holed::new(&cluster, closest).await;
            let ts = holed.ts(holed.lost[70]);
            let found = holed.find(ts, "f").await.ok();
            assert_eq!(found["event_id"], holed.room.id(holed.late[0]));
            assert_eq!(asked(&holed.room.peer, "timestamp_to_event"), 1);
            assert_eq!(asked(&holed.room.peer, "backfill"), 0);
        }
    });
}
