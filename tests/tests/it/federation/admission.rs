//! A server at the door of a room of ours that sends something else than it was asked to (HOSTILE 6, 8): nobody comes in by it, and nothing of it is signed.

use std::sync::Arc;

use http::Method;
use plexus_core::{
    event::{EventBody, NewEvent, SigningKey},
    room_version::RoomVersion,
};
use plexus_testkit::dag::KEY_SEED;
use plexus_tests::{Answer, Cluster, Peer, User, encode};
use ruma::{EventId, OwnedEventId, RoomId, ServerName, UserId};
use serde_json::{Value, json, value::to_raw_value};

use super::joining::membership;

crate::federated_scenarios! {
    hostile_6_who_comes_in_is_who_the_path_says,
    nobody_is_vouched_for_who_may_not_come_in,
    who_is_shut_out_has_nobody_invited,
}

const VERSION: RoomVersion = RoomVersion::V11;

/// A double whose user wants into rooms of ours.
struct Caller {
    peer: Peer,
    cluster: Arc<Cluster>,
    eve: String,
}

impl Caller {
    async fn new(cluster: Arc<Cluster>) -> Self {
        let peer = Peer::start().await;
        let eve = peer.user("eve");
        Self { peer, cluster, eve }
    }

    async fn ask(&self, method: Method, target: &str, body: Option<&str>) -> Answer {
        let (http, server) = (self.cluster.http(), self.cluster.server_name());
        self.peer.ask(&http, server, method, target, body).await
    }

    /// What the server proposes.
    async fn proposal(&self, room: &str, step: &str) -> Answer {
        let (room, user) = (encode(room), encode(&self.eve));
        let target = format!("/_matrix/federation/v1/make_{step}/{room}/{user}?ver=11");
        self.ask(Method::GET, &target, None).await
    }

    /// An event where the server proposes to put it, signed by the double.
    fn event(&self, room: &str, proposal: &Value, sender: &str, state_key: &str, content: &Value) -> EventBody {
        let ids = |list: &Value| -> Vec<OwnedEventId> {
            let list = list.as_array().expect("a list").iter();
            list.map(|id| EventId::parse(id.as_str().expect("an id")).expect("an id"))
                .collect()
        };
        let event = NewEvent {
            room_id: Some(<&RoomId>::try_from(room).expect("a room id")),
            sender: <&UserId>::try_from(sender).expect("a user id"),
            kind: "m.room.member",
            state_key: Some(state_key),
            content: &to_raw_value(content).expect("JSON"),
            prev_events: &ids(&proposal["prev_events"]),
            auth_events: &ids(&proposal["auth_events"]),
            depth: proposal["depth"].as_i64().expect("a depth"),
            origin_server_ts: 1_700_000_000_000,
            redacts: None,
            legacy: None,
        };
        let key = SigningKey::from_seed("1", &KEY_SEED).expect("a key");
        let name = self.peer.name();
        let server = <&ServerName>::try_from(name.as_str()).expect("a server name");
        event.seal(VERSION.rules(), &key, server).expect("an event")
    }

    async fn send(&self, endpoint: &str, room: &str, event_id: &str, body: &str) -> Answer {
        let target = format!("/_matrix/federation/{endpoint}/{}/{}", encode(room), encode(event_id));
        self.ask(Method::PUT, &target, Some(body)).await
    }
}

fn altered(event: &EventBody, alter: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(event.json()).expect("JSON");
    alter(&mut value);
    value.to_string()
}

async fn hostile_6_who_comes_in_is_who_the_path_says(cluster: Arc<Cluster>) {
    let caller = Caller::new(Arc::clone(&cluster)).await;
    let alice = User::register(&cluster.http(), "alice").await;
    let public = json!({"preset": "public_chat", "room_version": VERSION.as_str()});
    let (room, other) = (alice.create_room(&public).await, alice.create_room(&public).await);
    let proposal = caller.proposal(&room, "join").await.ok()["event"].clone();
    for field in ["signatures", "hashes", "event_id"] {
        assert_eq!(proposal[field], Value::Null, "a proposal is not signed");
    }
    let eve = caller.eve.as_str();
    let join = caller.event(&room, &proposal, eve, eve, &json!({"membership": "join"}));
    let id = join.event_id().as_str();
    let leave = caller.event(&room, &proposal, eve, eve, &json!({"membership": "leave"}));
    let carol = caller.peer.user("carol");
    let for_carol = caller.event(&room, &proposal, eve, &carol, &json!({"membership": "join"}));
    let as_other = caller.event(
        &room,
        &proposal,
        "@eve:example.org",
        "@eve:example.org",
        &json!({"membership": "join"}),
    );
    let whole = join.json().to_owned();
    let unsigned = altered(&join, |event| event["signatures"] = json!({}));
    let changed = altered(&join, |event| event["content"]["displayname"] = json!("altered"));
    let of = |event: &EventBody| (event.event_id().to_string(), event.json().to_owned());
    let ((leave_id, leave), (carols_id, carols), (others_id, others)) = (of(&leave), of(&for_carol), of(&as_other));
    let refused = [
        ("v2/send_join", &other, id, &*whole),
        ("v2/send_join", &room, &leave_id, &whole),
        ("v2/send_join", &room, &leave_id, &leave),
        ("v2/send_join", &room, &carols_id, &carols),
        ("v2/send_join", &room, &others_id, &others),
        ("v1/send_join", &other, id, &whole),
        ("v2/send_leave", &room, id, &whole),
        ("v1/send_leave", &room, id, &whole),
        ("v1/send_knock", &room, id, &whole),
        ("v2/send_join", &room, id, &unsigned),
        ("v2/send_join", &room, id, &changed),
        ("v2/send_join", &room, id, "{}"),
        ("v2/send_join", &room, id, "7"),
    ];
    for (endpoint, room, event_id, body) in &refused {
        let answer = caller.send(endpoint, room, event_id, body).await;
        let is_refused = matches!(answer.status, 400 | 403);
        assert!(is_refused, "{endpoint} {body}: {}", answer.text());
    }
    let invite =
        json!({"room_version": VERSION.as_str(), "event": serde_json::from_str::<Value>(join.json()).expect("JSON")});
    let answer = caller.send("v2/invite", &room, id, &invite.to_string()).await;
    answer.expect_error(400, "M_INVALID_PARAM");
    assert_eq!(membership(&alice, &room, eve).await, Value::Null);

    let answer = caller.send("v2/send_join", &room, id, join.json()).await.ok();
    assert_eq!(answer["members_omitted"], false);
    assert_eq!(membership(&alice, &room, eve).await, "join");
    let state = answer["state"].as_array().expect("a state");
    assert!(state.iter().any(|event| event["type"] == "m.room.create"));
    assert!(
        !state.iter().any(|event| event["state_key"] == eve),
        "it is the state before the join"
    );
    // Once more, and in the first way.
    let again = caller.send("v1/send_join", &room, id, join.json()).await.ok();
    assert_eq!(again[0], 200);
    assert_eq!(again[1]["state"].as_array().map(Vec::len), Some(state.len()));
    let without = format!("{}?omit_members=true", encode(id));
    let target = format!("/_matrix/federation/v2/send_join/{}/{without}", encode(&room));
    let lean = caller.ask(Method::PUT, &target, Some(join.json())).await.ok();
    assert_eq!(lean["members_omitted"], true);
    assert_eq!(lean["servers_in_room"], json!([cluster.server_name()]));
}

async fn nobody_is_vouched_for_who_may_not_come_in(cluster: Arc<Cluster>) {
    let caller = Caller::new(Arc::clone(&cluster)).await;
    let alice = User::register(&cluster.http(), "alice").await;
    let club = alice.create_room(&json!({"preset": "private_chat"})).await;
    let restricted = json!({"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]});
    let create = json!({
        "preset": "private_chat", "room_version": VERSION.as_str(),
        "initial_state": [{"type": "m.room.join_rules", "state_key": "", "content": restricted}],
    });
    let room = alice.create_room(&create).await;
    caller.proposal(&room, "join").await.expect_error(403, "M_FORBIDDEN");
    // Who knows enough of the room makes the event without being told how.
    let state = alice
        .http
        .get(&format!("/_matrix/client/v3/rooms/{}/state", encode(&room)))
        .await
        .ok();
    let ids = |kinds: &[&str]| -> Vec<Value> {
        let events = state.as_array().expect("a state").iter();
        events
            .filter(|event| kinds.contains(&event["type"].as_str().expect("a type")))
            .map(|event| event["event_id"].clone())
            .collect()
    };
    let auth = ids(&[
        "m.room.create",
        "m.room.power_levels",
        "m.room.join_rules",
        "m.room.member",
    ]);
    let proposal = json!({"auth_events": auth, "prev_events": ids(&["m.room.join_rules"]), "depth": 9});
    let content = json!({"membership": "join", "join_authorised_via_users_server": alice.id});
    let join = caller.event(&room, &proposal, &caller.eve, &caller.eve, &content);
    let answer = caller
        .send("v2/send_join", &room, join.event_id().as_str(), join.json())
        .await;
    answer.expect_error(403, "M_FORBIDDEN");
    assert_eq!(membership(&alice, &room, &caller.eve).await, Value::Null);
}

async fn who_is_shut_out_has_nobody_invited(cluster: Arc<Cluster>) {
    let caller = Caller::new(Arc::clone(&cluster)).await;
    let alice = User::register(&cluster.http(), "alice").await;
    let bob = User::register(&cluster.http(), "bob").await;
    let public = json!({"preset": "public_chat", "room_version": VERSION.as_str()});
    let room = alice.create_room(&public).await;
    let proposal = caller.proposal(&room, "join").await.ok()["event"].clone();
    let content = json!({"membership": "invite"});
    let invite = caller.event(&room, &proposal, &caller.eve, &bob.id, &content);
    let event: Value = serde_json::from_str(invite.json()).expect("JSON");
    let body = json!({"room_version": VERSION.as_str(), "event": event, "invite_room_state": []}).to_string();
    let send = async || {
        let id = invite.event_id().as_str();
        caller.send("v2/invite", &room, id, &body).await
    };
    let signed = send().await.ok();
    assert!(
        signed["event"]["signatures"][cluster.server_name()].is_object(),
        "{signed}"
    );

    // The double has no name but its address.
    let list = json!({"allow": ["*"], "deny": [], "allow_ip_literals": false});
    let target = format!("/_matrix/client/v3/rooms/{}/state/m.room.server_acl/", encode(&room));
    alice.http.put(&target, &list).await.ok();
    send().await.expect_error(403, "M_FORBIDDEN");
}
