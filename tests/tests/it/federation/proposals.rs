//! Servers that propose something else than was asked for, or lie about the rooms they let in to (HOSTILE 6, 8, 9): nothing of it is signed or believed.

use std::sync::Arc;

use http::Method;
use plexus_core::room_version::RoomVersion;
use plexus_testkit::dag::Dag;
use plexus_tests::{Cluster, Peer, User, encode, fresh_name, pdus};
use serde_json::{Value, json};

use super::joining::{join_via, membership};

crate::federated_scenarios! {
    hostile_9_only_what_was_asked_for_is_signed,
    hostile_8_a_room_is_entered_by_a_true_state_only,
}

/// A room of a double's, and a user of ours who wants in.
struct Wanted {
    peer: Peer,
    dag: Dag,
    room: String,
    bob: User,
}

impl Wanted {
    async fn new(cluster: &Cluster) -> Self {
        let peer = Peer::start().await;
        let (alice, name) = (peer.user("alice"), fresh_name("room"));
        let room = format!("!{name}:{}", peer.name());
        let dag = Dag::made_by(&alice, &room, RoomVersion::V11, 1, json!({"org.example.name": name}));
        let bob = User::register(&cluster.http(), "bob").await;
        Self { peer, dag, room, bob }
    }

    /// What a good server proposes.
    fn proposal(&self, membership: &str) -> Value {
        let ids = |at: &[usize]| -> Vec<String> {
            at.iter()
                .map(|at| self.dag.events[*at].body.event_id().to_string())
                .collect()
        };
        let allows = |kind: &str| self.dag.events.iter().any(|event| event.body.kind() == kind);
        assert!(allows("m.room.join_rules"), "anybody may join the rooms of doubles");
        let wanted = ["m.room.create", "m.room.power_levels", "m.room.join_rules"];
        let auth: Vec<usize> = (0..self.dag.events.len())
            .filter(|at| wanted.contains(&self.dag.events[*at].body.kind()))
            .collect();
        json!({
            "room_version": "11",
            "event": {
                "type": "m.room.member", "room_id": self.room, "sender": self.bob.id, "state_key": self.bob.id,
                "content": {"membership": membership}, "depth": 7, "origin_server_ts": 1,
                "prev_events": ids(&[self.dag.last()]), "auth_events": ids(&auth),
            },
        })
    }

    /// What a good server answers to a join.
    fn state(&self) -> Value {
        let events = pdus(&self.dag, &(0..self.dag.events.len()).collect::<Vec<_>>());
        json!({"state": events, "auth_chain": events, "origin": self.peer.name()})
    }

    fn answers(&self, proposal: Value, state: Option<Value>) {
        self.peer.answers(move |request| match request.method {
            Method::GET if request.target.contains("/make_") => Some((200, proposal.clone())),
            Method::PUT if request.target.contains("/send_join/") => state.clone().map(|state| (200, state)),
            _ => None,
        });
    }

    /// What was sent to be put into the room.
    fn sent(&self) -> Vec<Value> {
        let received = self.peer.remote.received();
        let sent = received
            .iter()
            .filter(|request| request.method == Method::PUT && request.target.contains("/send_"));
        sent.map(|request| serde_json::from_slice(&request.body).expect("JSON"))
            .collect()
    }

    async fn is_joined(&self) -> bool {
        let rooms = self.bob.http.get("/_matrix/client/v3/joined_rooms").await.ok();
        let rooms = rooms["joined_rooms"].as_array().expect("a list");
        rooms.iter().any(|room| room == self.room.as_str())
    }
}

/// What is changed of a proposal.
type Alteration = Box<dyn Fn(&mut Value)>;

async fn hostile_9_only_what_was_asked_for_is_signed(cluster: Arc<Cluster>) {
    let wanted = Wanted::new(&cluster).await;
    let event =
        |field: &'static str, value: Value| move |proposal: &mut Value| proposal["event"][field] = value.clone();
    let alterations: Vec<Alteration> = vec![
        Box::new(event("type", json!("m.room.power_levels"))),
        Box::new(event("sender", json!("@carol:example.org"))),
        Box::new(event("sender", Value::Null)),
        Box::new(event("state_key", json!(""))),
        Box::new(event("state_key", json!("@carol:example.org"))),
        Box::new(event("state_key", Value::Null)),
        Box::new(event("room_id", json!("!other:example.org"))),
        Box::new(event("content", json!({"membership": "leave"}))),
        Box::new(event("content", json!({"membership": "ban"}))),
        Box::new(event("content", json!({}))),
        Box::new(event(
            "content",
            json!({"membership": "join", "join_authorised_via_users_server": "@carol:example.org"}),
        )),
        Box::new(event(
            "content",
            json!({"membership": "join", "join_authorised_via_users_server": 7}),
        )),
        Box::new(event("prev_events", json!("$a"))),
        Box::new(event("prev_events", json!([["$a", {"sha256": "b"}]]))),
        Box::new(event("prev_events", json!(vec!["$a"; 21]))),
        Box::new(event("auth_events", json!(vec!["$a"; 11]))),
        Box::new(event("auth_events", Value::Null)),
        Box::new(event("depth", json!(-1))),
        Box::new(event("depth", json!("7"))),
        Box::new(|proposal: &mut Value| proposal["room_version"] = json!("org.example.odd")),
        Box::new(|proposal: &mut Value| proposal["event"] = json!([])),
        Box::new(|proposal: &mut Value| *proposal = json!({})),
    ];
    for alter in alterations {
        let mut proposal = wanted.proposal("join");
        alter(&mut proposal);
        wanted.answers(proposal.clone(), None);
        let refused = join_via(&wanted.bob, &wanted.room, &wanted.peer.name()).await;
        assert!(refused.status >= 400, "{proposal}");
        assert_eq!(wanted.sent(), Vec::<Value>::new(), "{proposal}");
    }
    // What else is proposed is not said.
    let mut proposal = wanted.proposal("join");
    proposal["event"]["content"]["displayname"] = json!("somebody else");
    proposal["event"]["content"]["org.example.more"] = json!(1);
    proposal["event"]["org.example.more"] = json!(1);
    proposal["event"]["redacts"] = json!("$a");
    wanted.answers(proposal, None);
    let refused = join_via(&wanted.bob, &wanted.room, &wanted.peer.name()).await;
    assert!(refused.status >= 400);
    let sent = wanted.sent();
    let [sent] = &sent[..] else { panic!("{sent:?}") };
    let (name, _) = wanted.bob.id[1..].split_once(':').expect("an id");
    assert_eq!(sent["content"], json!({"membership": "join", "displayname": name}));
    let fields: Vec<&String> = sent.as_object().expect("an event").keys().collect();
    assert!(
        !fields
            .iter()
            .any(|field| *field == "redacts" || field.starts_with("org.")),
        "{fields:?}"
    );
    assert_ne!(sent["origin_server_ts"], 1);
    assert!(!wanted.is_joined().await);
}

async fn hostile_8_a_room_is_entered_by_a_true_state_only(cluster: Arc<Cluster>) {
    let wanted = Wanted::new(&cluster).await;
    let good = wanted.state();
    let altered = |alter: &dyn Fn(&mut Vec<Value>)| {
        let mut answer = good.clone();
        let state = answer["state"].as_array_mut().expect("a list");
        alter(state);
        answer["auth_chain"] = Value::Array(state.clone());
        answer
    };
    let other = Dag::made_by(
        &wanted.peer.user("alice"),
        "!other:example.org",
        RoomVersion::V11,
        2,
        json!({}),
    );
    let others = pdus(&other, &(0..other.events.len()).collect::<Vec<_>>());
    let lies = [
        json!({}),
        json!({"state": 7, "auth_chain": []}),
        json!({"state": [], "auth_chain": []}),
        json!({"state": others.clone(), "auth_chain": others}),
        // Without its beginning; with none of it signed; with a beginning that was altered.
        altered(&|state| state.retain(|event| event["type"] != "m.room.create")),
        altered(&|state| state.iter_mut().for_each(|event| event["signatures"] = json!({}))),
        altered(&|state| state[0]["signatures"] = json!({})),
        altered(&|state| state[0]["sender"] = json!("@mallory:example.org")),
        // Without who lets the user in.
        altered(&|state| state.retain(|event| event["type"] != "m.room.join_rules")),
    ];
    for lie in lies {
        wanted.answers(wanted.proposal("join"), Some(lie.clone()));
        let refused = join_via(&wanted.bob, &wanted.room, &wanted.peer.name()).await;
        assert!(refused.status >= 400, "{lie}");
        assert!(!wanted.is_joined().await, "{lie}");
    }
    let mut proposal = wanted.proposal("join");
    proposal["room_version"] = json!("10");
    wanted.answers(proposal, Some(good.clone()));
    let refused = join_via(&wanted.bob, &wanted.room, &wanted.peer.name()).await;
    assert!(refused.status >= 400, "a room of another version");

    // The truth, with something forged beside it, which nobody sees.
    let alice = wanted.peer.user("alice");
    let forged = json!({
        "type": "m.room.topic", "state_key": "", "sender": alice, "room_id": wanted.room, "content": {"topic": "forged"},
        "depth": 3, "origin_server_ts": 1, "prev_events": [], "auth_events": [], "hashes": {"sha256": "AAAA"}, "signatures": {},
    });
    let answer = altered(&|state| state.push(forged.clone()));
    wanted.answers(wanted.proposal("join"), Some(answer));
    join_via(&wanted.bob, &wanted.room, &wanted.peer.name()).await.ok();
    assert!(wanted.is_joined().await);
    assert_eq!(membership(&wanted.bob, &wanted.room, &alice).await, "join");
    let topic = format!("/_matrix/client/v3/rooms/{}/state/m.room.topic/", encode(&wanted.room));
    assert_eq!(wanted.bob.http.get(&topic).await.status, 404);
}
