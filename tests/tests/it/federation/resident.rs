//! What servers in a room are told of its events and states, and that others are told nothing.

use std::sync::Arc;

use plexus_core::room_version::RoomVersion;
use plexus_testkit::dag::{Attempt, Index};
use plexus_tests::{Cluster, Peer, Shared, Topology, encode};
use serde_json::{Value, json};

use super::visited::Visited;

/// A double tells the master of rooms as a worker does; one process alone has no door for that.
static SPLIT: Shared = Shared::federated(Topology::Split);

const API: &str = "/_matrix/federation/v1";

impl Visited {
    fn event(&self, at: Index) -> String {
        format!("{API}/event/{}", encode(&self.room.id(at)))
    }

    fn of_room(&self, what: &str) -> String {
        format!("{API}/{what}/{}", encode(&self.room.room()))
    }

    fn state(&self, what: &str, at: Index) -> String {
        format!("{}?event_id={}", self.of_room(what), encode(&self.room.id(at)))
    }

    fn auth(&self, at: Index) -> String {
        format!("{}/{}", self.of_room("event_auth"), encode(&self.room.id(at)))
    }

    fn backfill(&self, at: Index, limit: usize) -> String {
        format!(
            "{}?v={}&limit={limit}",
            self.of_room("backfill"),
            encode(&self.room.id(at))
        )
    }

    fn missing(&self, earliest: Index, latest: Index, limit: usize) -> (String, Value) {
        let body = json!({
            "earliest_events": [self.room.id(earliest)], "latest_events": [self.room.id(latest)], "limit": limit,
        });
        (self.of_room("get_missing_events"), body)
    }

    fn pdus(&self, events: impl IntoIterator<Item = Index>) -> Vec<Value> {
        events.into_iter().map(|at| self.pdu(at)).collect()
    }
}

/// Lists whose order does not matter.
fn sorted(list: &Value) -> Vec<String> {
    let mut items: Vec<String> = list.as_array().expect("a list").iter().map(Value::to_string).collect();
    items.sort_unstable();
    items
}

#[test]
fn servers_in_a_room_are_told_of_its_graph() {
    SPLIT.run(the_graph);
}

async fn the_graph(cluster: Arc<Cluster>) {
    for version in [RoomVersion::V1, RoomVersion::V11, RoomVersion::V12] {
        let mut visited = Visited::new(&cluster, version).await;
        let beginning: Vec<Index> = (0..visited.room.dag.events.len()).collect();
        let mut said = Vec::new();
        for text in ["one", "two", "three", "four", "five"] {
            said.push(visited.say(text).await);
        }
        let ask = async |target: String| visited.asks(&visited.peer, &target).await.ok();

        let event = ask(visited.event(said[2])).await;
        assert_eq!(event["pdus"], json!([visited.pdu(said[2])]));
        assert_eq!(event["origin"], visited.server.as_str());

        let state = ask(visited.state("state", said[3])).await;
        assert_eq!(
            sorted(&state["pdus"]),
            sorted(&visited.pdus(beginning.clone()).into()),
            "{version:?}"
        );
        // From version 12 on, no event names the create event.
        let first = usize::from(version == RoomVersion::V12);
        let chain: Vec<Index> = (first..beginning.len() - 1).collect();
        assert_eq!(
            sorted(&state["auth_chain"]),
            sorted(&visited.pdus(chain.clone()).into()),
            "{version:?}"
        );
        let ids = ask(visited.state("state_ids", said[3])).await;
        let id_list = |events: &[Index]| -> Value { events.iter().map(|at| visited.room.id(*at)).collect() };
        assert_eq!(sorted(&ids["pdu_ids"]), sorted(&id_list(&beginning)));
        assert_eq!(sorted(&ids["auth_chain_ids"]), sorted(&id_list(&chain)));
        // The join rules allow Dave's join, and not what is said.
        let allowing = ask(visited.auth(said[3])).await;
        let needed = chain
            .into_iter()
            .filter(|at| visited.pdu(*at)["type"] != "m.room.join_rules");
        assert_eq!(sorted(&allowing["auth_chain"]), sorted(&visited.pdus(needed).into()));

        let before = ask(visited.backfill(said[4], 3)).await;
        assert_eq!(before["pdus"], Value::from(visited.pdus([said[4], said[3], said[2]])));
        let everything = ask(visited.backfill(said[4], 100)).await;
        let newest_first = said.iter().rev().chain(beginning.iter().rev()).copied();
        assert_eq!(everything["pdus"], Value::from(visited.pdus(newest_first)));
        for (limit, between) in [(10, &said[1..4]), (2, &said[2..4])] {
            let (target, body) = visited.missing(said[0], said[4], limit);
            let missing = visited.posts(&visited.peer, &target, &body).await.ok();
            assert_eq!(missing["events"], Value::from(visited.pdus(between.iter().copied())));
        }
        let ts = visited.pdu(said[1])["origin_server_ts"].as_u64().expect("a time");
        let by_time = format!("{}?ts={}&dir=f", visited.of_room("timestamp_to_event"), ts - 1);
        assert_eq!(ask(by_time).await["event_id"], visited.room.id(said[1]));
    }
}

/// All that a server could ask about an event of a room.
fn questions(visited: &Visited, at: Index) -> Vec<(String, Option<Value>)> {
    let (missing, body) = visited.missing(0, at, 10);
    let by_time = format!("{}?ts=1&dir=f", visited.of_room("timestamp_to_event"));
    let gets = [
        visited.state("state", at),
        visited.state("state_ids", at),
        visited.auth(at),
        visited.backfill(at, 10),
        by_time,
    ];
    let gets = gets.into_iter().map(|target| (target, None));
    gets.chain([(missing, Some(body))]).collect()
}

async fn is_told_nothing(visited: &Visited, peer: &Peer, at: Index) {
    visited
        .asks(peer, &visited.event(at))
        .await
        .expect_error(404, "M_NOT_FOUND");
    for (target, body) in questions(visited, at) {
        let answer = match body {
            Some(body) => visited.posts(peer, &target, &body).await,
            None => visited.asks(peer, &target).await,
        };
        answer.expect_error(403, "M_FORBIDDEN");
    }
}

#[test]
fn hostile_10_servers_outside_of_a_room_are_told_nothing() {
    SPLIT.run(outsiders);
}

async fn outsiders(cluster: Arc<Cluster>) {
    let mut visited = Visited::new(&cluster, RoomVersion::V11).await;
    let stranger = Peer::start().await;
    let said = visited.say("a secret").await;
    is_told_nothing(&visited, &stranger, said).await;
    // Who says nothing of himself is nobody.
    let unsigned = visited.http.get(&visited.event(said)).await;
    unsigned.expect_error(401, "M_UNAUTHORIZED");

    // Who is asked in is not in yet; who has gone is not in any more.
    let bob = stranger.user("bob");
    let invite = Attempt::member(&visited.alice, &bob, "invite");
    visited.add(&invite).await;
    is_told_nothing(&visited, &stranger, said).await;
    visited.add(&Attempt::member(&bob, &bob, "join")).await;
    assert_eq!(visited.asks(&stranger, &visited.event(said)).await.status, 200);
    visited.add(&Attempt::member(&bob, &bob, "leave")).await;
    is_told_nothing(&visited, &stranger, said).await;

    // Nor is a server that the room excludes, though its users are in.
    visited.add(&Attempt::member(&bob, &bob, "join")).await;
    let acl = json!({"allow": ["*"], "deny": [], "allow_ip_literals": false});
    let acl = Attempt::state(&visited.alice, "m.room.server_acl", "", acl);
    visited.add(&acl).await;
    is_told_nothing(&visited, &stranger, said).await;
}

#[test]
fn events_are_asked_for_in_the_room_they_are_of() {
    SPLIT.run(other_rooms);
}

async fn other_rooms(cluster: Arc<Cluster>) {
    let mut visited = Visited::new(&cluster, RoomVersion::V11).await;
    let said = visited.say("here").await;
    // A room that the double's server is not in.
    let bob = plexus_tests::User::register(&cluster.http(), "bob").await;
    let private = bob.create_room(&json!({})).await;
    let secret = encode(&bob.say(&private, "a secret").await);
    let ask = async |target: String| visited.asks(&visited.peer, &target).await;
    for what in ["state", "state_ids"] {
        let target = format!("{}?event_id={secret}", visited.of_room(what));
        ask(target).await.expect_error(404, "M_NOT_FOUND");
        let target = format!("{API}/{what}/{}?event_id={secret}", encode(&private));
        ask(target).await.expect_error(403, "M_FORBIDDEN");
        ask(visited.of_room(what)).await.expect_error(400, "M_MISSING_PARAM");
    }
    let target = format!("{}/{secret}", visited.of_room("event_auth"));
    ask(target).await.expect_error(404, "M_NOT_FOUND");
    ask(format!("{API}/event/{secret}"))
        .await
        .expect_error(404, "M_NOT_FOUND");
    let target = format!("{}?v={secret}&limit=10", visited.of_room("backfill"));
    assert_eq!(ask(target).await.ok()["pdus"], json!([]));
    let target = format!(
        "{}?v={secret}&v={}&limit=1",
        visited.of_room("backfill"),
        encode(&visited.room.id(said))
    );
    assert_eq!(ask(target).await.ok()["pdus"], json!([visited.pdu(said)]));
}

/// When something was said: before the other server was asked in, between that and its coming, and while it was there.
const MOMENTS: [&str; 3] = ["early", "between", "during"];

#[test]
fn hostile_10_a_server_sees_what_one_of_its_users_may_see() {
    SPLIT.run(visibility);
}

async fn visibility(cluster: Arc<Cluster>) {
    for (word, seen) in [
        ("world_readable", [true, true, true]),
        ("shared", [true, true, true]),
        ("invited", [false, true, true]),
        ("joined", [false, false, true]),
    ] {
        let mut visited = Visited::new(&cluster, RoomVersion::V11).await;
        let other = Peer::start().await;
        let (alice, bob) = (visited.alice.clone(), other.user("bob"));
        let content = json!({"history_visibility": word});
        visited
            .add(&Attempt::state(&alice, "m.room.history_visibility", "", content))
            .await;
        let mut said = Vec::new();
        for moment in MOMENTS {
            said.push(visited.say(moment).await);
            match moment {
                "early" => visited.add(&Attempt::member(&alice, &bob, "invite")).await,
                "between" => visited.add(&Attempt::member(&bob, &bob, "join")).await,
                _ => visited.say("the end").await,
            };
        }
        let last = visited.room.dag.last();
        let page = visited.asks(&other, &visited.backfill(last, 100)).await.ok();
        let (target, body) = visited.missing(3, last, 20);
        let missing = visited.posts(&other, &target, &body).await.ok();
        for ((at, moment), seen) in said.into_iter().zip(MOMENTS).zip(seen) {
            let what = format!("{word}, {moment}");
            let event = visited.asks(&other, &visited.event(at)).await.ok();
            let body = |event: &Value| event["content"]["body"].as_str().map(str::to_owned);
            let shown = Some(moment.to_owned()).filter(|_| seen);
            assert_eq!(body(&event["pdus"][0]), shown, "{what}");
            // What is hidden is still a part of the graph, with its signatures.
            let mut expected = visited.pdu(at);
            if !seen {
                expected["content"] = json!({});
            }
            assert_eq!(event["pdus"][0], expected, "{what}");
            for list in [&page["pdus"], &missing["events"]] {
                let events = list.as_array().expect("a list");
                assert!(events.contains(&expected), "{what}: {events:?}");
            }
        }
    }
}
