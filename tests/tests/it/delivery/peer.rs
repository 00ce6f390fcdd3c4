//! Another server that takes what it is sent, or does not, and whose users are in our rooms.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plexus_core::{
    event::{NewEvent, SigningKey, sign::sign_json},
    room_version::RoomVersion,
};
use plexus_federation::x_matrix::Signed;
use plexus_proto::{ReceiveEvents, ReceivedEvent, command::Kind, event_outcome::Outcome};
use plexus_testkit::Remote;
use plexus_tests::{Cluster, PATIENCE, User, authority, encode, eventually};
use ruma::{OwnedEventId, RoomId, ServerName, UserId};
use serde_json::{Value, json, value::to_raw_value};

/// Where transactions go.
const SEND: &str = "/_matrix/federation/v1/send/";
/// The version of the rooms here.
pub(super) const VERSION: RoomVersion = RoomVersion::V11;
/// Later than anything our server has said.
const DEPTH: i64 = 1_000;

/// How it answers transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Takes,
    /// As an overloaded server does.
    Fails,
    /// It takes the connection and says nothing.
    Silent,
    /// As one that does not want what is in it.
    Refuses,
}

/// A transaction that it has taken.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) id: String,
    /// Who sent it.
    pub(super) origin: String,
    pub(super) pdus: Vec<Value>,
    pub(super) edus: Vec<Value>,
}

#[derive(Debug)]
struct State {
    manner: Manner,
    taken: Vec<Taken>,
    /// Transactions that came, taken or not.
    came: usize,
    keys: String,
}

/// The other server.
pub(super) struct Peer {
    remote: Remote,
    key: SigningKey,
    state: Arc<Mutex<State>>,
}

impl Peer {
    pub(super) async fn start() -> Self {
        let remote = Remote::start(authority(), &["127.0.0.1"]).await;
        let key = SigningKey::from_seed("peer", &[7; 32]).expect("a key");
        let document = json!({
            "server_name": remote.name(),
            "valid_until_ts": 4_000_000_000_000_i64,
            "old_verify_keys": {},
            "verify_keys": {key.key_id(): {"key": key.verify_key().to_base64()}},
        });
        let name = remote.name();
        let keys = sign_json(document.to_string().as_bytes(), server(&name), &key).expect("JSON");
        let state = Arc::new(Mutex::new(State {
            manner: Manner::Takes,
            taken: Vec::new(),
            came: 0,
            keys,
        }));
        let shared = Arc::clone(&state);
        remote.answers(move |request| {
            let mut state = lock(&shared);
            let path = request.target.split('?').next().unwrap_or_default();
            if path == "/_matrix/key/v2/server" {
                return Some((200, state.keys.clone()));
            }
            let Some(id) = path.strip_prefix(SEND) else {
                return Some((404, json!({"errcode": "M_UNRECOGNIZED", "error": ""}).to_string()));
            };
            state.came += 1;
            match state.manner {
                Manner::Takes => {}
                Manner::Fails => return Some((503, "{}".to_owned())),
                Manner::Refuses => return Some((400, json!({"errcode": "M_UNKNOWN", "error": "no"}).to_string())),
                Manner::Silent => return None,
            }
            let body: Value = serde_json::from_slice(&request.body).expect("transactions are JSON");
            let list = |name: &str| body[name].as_array().cloned().unwrap_or_default();
            // As any server, it takes a transaction once.
            if !state.taken.iter().any(|taken| taken.id == id) {
                state.taken.push(Taken {
                    id: id.to_owned(),
                    origin: body["origin"].as_str().unwrap_or_default().to_owned(),
                    pdus: list("pdus"),
                    edus: list("edus"),
                });
            }
            Some((200, json!({"pdus": {}}).to_string()))
        });
        Self { remote, key, state }
    }

    pub(super) fn name(&self) -> String {
        self.remote.name()
    }

    /// The id of a user of it.
    pub(super) fn user(&self, localpart: &str) -> String {
        format!("@{localpart}:{}", self.remote.name())
    }

    /// From now on it answers so.
    pub(super) fn behaves(&self, manner: Manner) {
        lock(&self.state).manner = manner;
    }

    /// What it has taken, in the order in which it came.
    pub(super) fn taken(&self) -> Vec<Taken> {
        lock(&self.state).taken.clone()
    }

    /// The events it has taken, as (type, body or membership).
    pub(super) fn events(&self) -> Vec<Value> {
        self.taken().into_iter().flat_map(|taken| taken.pdus).collect()
    }

    /// The texts of the messages it has taken, each as often as it came.
    pub(super) fn texts(&self) -> Vec<String> {
        let events = self.events();
        let texts = events.iter().filter_map(|event| event["content"]["body"].as_str());
        texts.map(str::to_owned).collect()
    }

    /// The contents of the EDUs of one type that it has taken.
    pub(super) fn edus(&self, kind: &str) -> Vec<Value> {
        let edus = self.taken().into_iter().flat_map(|taken| taken.edus);
        edus.filter(|edu| edu["edu_type"] == kind)
            .map(|edu| edu["content"].clone())
            .collect()
    }

    /// Waits until it has taken a message.
    pub(super) async fn until_told(&self, text: &str) {
        eventually(PATIENCE, &format!("{text:?} to arrive"), async || {
            let texts = self.texts();
            texts
                .iter()
                .any(|told| told == text)
                .then_some(())
                .ok_or_else(|| format!("{texts:?}"))
        })
        .await;
    }

    /// Waits until it has taken an EDU that is as wanted.
    pub(super) async fn until_edu(&self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(PATIENCE, &format!("an {kind} to arrive"), async || {
            let edus = self.edus(kind);
            let found = edus.iter().find(|edu| wanted(edu)).cloned();
            found.ok_or_else(|| format!("{edus:?}"))
        })
        .await
    }

    /// Waits until so many transactions have come, taken or not.
    pub(super) async fn until_asked(&self, times: usize) {
        eventually(PATIENCE, "transactions to come", async || {
            let came = lock(&self.state).came;
            (came >= times)
                .then_some(())
                .ok_or_else(|| format!("{came} of {times}"))
        })
        .await;
    }

    pub(super) fn asked(&self) -> usize {
        lock(&self.state).came
    }

    /// One of its users becomes something to a room of ours.
    pub(super) async fn member(&self, cluster: &Cluster, ours: &User, room: &str, localpart: &str, membership: &str) {
        members(cluster, ours, room, &[self.user(localpart)], (membership, &self.key)).await;
    }

    /// It asks our server something, and so is back; until it has been told what it waits for.
    pub(super) async fn asks_until(&self, cluster: &Cluster, user: &str, what: &str, has: impl Fn(&Self) -> bool) {
        eventually(PATIENCE, what, async || {
            // That it does not answer may be noted only now.
            self.ask(cluster, user).await;
            has(self).then_some(()).ok_or_else(|| format!("{:?}", self.taken()))
        })
        .await;
    }

    /// The same for a message.
    pub(super) async fn asks_until_told(&self, cluster: &Cluster, user: &str, text: &str) {
        let has = |peer: &Self| peer.texts().iter().any(|told| told == text);
        self.asks_until(cluster, user, &format!("{text:?} to arrive"), has)
            .await;
    }

    async fn ask(&self, cluster: &Cluster, user: &str) {
        let target = format!("/_matrix/federation/v1/query/profile?user_id={}", encode(user));
        let request = Signed {
            method: "GET",
            target: &target,
            content: None,
        };
        let header = request.sign(server(&self.name()), server(cluster.server_name()), &self.key);
        let header = header.expect("JSON").to_header();
        let http = cluster.http().with_header("authorization", &header);
        http.get(&target).await.ok();
    }
}

/// Users of other servers become something to a room of ours, one after the other.
pub(super) async fn members(
    cluster: &Cluster,
    ours: &User,
    room: &str,
    users: &[String],
    (membership, key): (&str, &SigningKey),
) {
    let state = format!("/_matrix/client/v3/rooms/{}/state", encode(room));
    let state = ours.http.get(&state).await.ok();
    let id = |kind: &str, key: &str| {
        let events = state.as_array().expect("a list");
        let event = events
            .iter()
            .find(|event| event["type"] == kind && event["state_key"] == key);
        event.and_then(|event| event["event_id"].as_str()).map(event_id)
    };
    let last = ours.messages(room, "b", "&limit=1").await.ok();
    let mut last = event_id(last["chunk"][0]["event_id"].as_str().expect("an event"));
    let mut events = Vec::with_capacity(users.len());
    for (user, depth) in users.iter().zip(DEPTH..) {
        let sender = <&UserId>::try_from(user.as_str()).expect("a user id");
        let auth: Vec<OwnedEventId> = [
            ("m.room.create", ""),
            ("m.room.power_levels", ""),
            ("m.room.join_rules", ""),
            ("m.room.member", user.as_str()),
        ]
        .iter()
        .filter_map(|(kind, key)| id(kind, key))
        .collect();
        let new = NewEvent {
            room_id: Some(<&RoomId>::try_from(room).expect("a room id")),
            sender,
            kind: "m.room.member",
            state_key: Some(user),
            content: &to_raw_value(&json!({ "membership": membership })).expect("JSON"),
            prev_events: &[last],
            auth_events: &auth,
            depth,
            // Of a time for which its key counts.
            origin_server_ts: 1_700_000_000_000,
            redacts: None,
            legacy: None,
        };
        let body = new.seal(VERSION.rules(), key, sender.server_name()).expect("an event");
        last = body.event_id().to_owned();
        events.push(ReceivedEvent {
            json: body.json().to_owned().into(),
            ..ReceivedEvent::default()
        });
    }
    let receive = ReceiveEvents {
        room_id: room.to_owned(),
        room_version: VERSION.as_str().parse().expect("a number"),
        events,
        ..ReceiveEvents::default()
    };
    let outcomes = cluster.worker().run(Kind::ReceiveEvents(receive)).await.outcomes;
    for outcome in outcomes {
        assert_eq!(outcome.outcome(), Outcome::Accepted, "{outcome:?}");
    }
}

fn server(name: &str) -> &ServerName {
    <&ServerName>::try_from(name).expect("a server name")
}

fn event_id(id: &str) -> OwnedEventId {
    OwnedEventId::try_from(id).expect("an event id")
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
