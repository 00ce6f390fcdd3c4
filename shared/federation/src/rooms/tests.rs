//! What is asked of other servers about rooms, against a double that signs properly or lies.

use plexus_core::{
    event::EventBody,
    room_version::{RoomVersion, RoomVersionRules},
};
use plexus_testkit::{
    Authority, Remote,
    dag::{Attempt, CREATOR, Dag},
};
use ruma::{OwnedServerName, ServerName};
use serde_json::{Value, json};

use super::*;
use crate::{
    keys::Notary,
    testing::{DAY_MS, NOW_MS, QUERY, World, document},
};

/// A server that answers about a room, and vouches for the key its events are signed with.
struct Asked {
    world: World,
    remote: Remote,
    name: OwnedServerName,
    dag: Dag,
}

impl Asked {
    async fn new() -> Self {
        let authority = Authority::new();
        let remote = Remote::start(&authority, &["127.0.0.1"]).await;
        let name = OwnedServerName::try_from(remote.name()).expect("a name");
        let notary = Notary {
            server: name.clone(),
            keys: std::collections::BTreeMap::new(),
        };
        let world = World::with_notaries(|_| vec![notary], authority).await;
        let mut dag = Dag::new(RoomVersion::V11, 1);
        let last = dag.last();
        dag.add(&[last], &Attempt::message(CREATOR, "hello"));
        Self {
            world,
            remote,
            name,
            dag,
        }
    }

    /// From now on every question about the room is answered with these events.
    fn answers(&self, pdus: &[String]) {
        let keys = document("one.example", &self.dag.key, NOW_MS + DAY_MS);
        let list = pdus.join(",");
        let body = format!("{{\"pdus\": [{list}], \"events\": [{list}], \"auth_chain\": [{list}]}}");
        self.remote.answers(move |request| {
            let is_key = request.target == QUERY;
            let answer = if is_key {
                format!("{{\"server_keys\": [{keys}]}}")
            } else {
                body.clone()
            };
            Some((200, answer))
        });
    }

    fn last(&self) -> &EventBody {
        &self.dag.events[self.dag.last()].body
    }

    /// What each way of asking gives.
    async fn ask_all(&self) -> Vec<(&'static str, Vec<EventBody>)> {
        let (federation, server): (_, &ServerName) = (&self.world.federation, &self.name);
        let (rules, room): (&'static RoomVersionRules, _) = (self.dag.rules, self.dag.room_id());
        let id = self.last().event_id().to_owned();
        let missing = MissingEvents {
            known: Vec::new(),
            new: vec![id.clone()],
            limit: 10,
            min_depth: 0,
        };
        let one = federation.fetch_event(server, rules, &room, &id).await;
        let backfill = federation
            .fetch_backfill(server, rules, &room, std::slice::from_ref(&id), 10)
            .await;
        let between = federation.fetch_missing_events(server, rules, &room, &missing).await;
        let chain = federation.fetch_event_auth(server, rules, &room, &id).await;
        let state = federation
            .fetch_state(server, rules, &room, &id)
            .await
            .expect("an answer");
        vec![
            ("event", one.into_iter().collect()),
            ("backfill", backfill.expect("an answer")),
            ("get_missing_events", between.expect("an answer")),
            ("event_auth", chain.expect("an answer")),
            ("state", state.state),
            ("auth_chain", state.auth_chain),
        ]
    }
}

fn altered(pdu: &str, alter: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(pdu).expect("JSON");
    alter(&mut value);
    value.to_string()
}

#[tokio::test]
async fn hostile_8_no_way_of_fetching_lets_a_forged_event_in() {
    let asked = Asked::new().await;
    let good = asked.last().json().to_owned();
    let mut other = Dag::named("!other:one.example", RoomVersion::V11, 2, json!({}));
    let last = other.last();
    let elsewhere = other.add(&[last], &Attempt::message(CREATOR, "hello"));
    let forged = [
        altered(&good, |event| {
            event["signatures"]["one.example"]["ed25519:1"] = json!("AAAA");
        }),
        altered(&good, |event| {
            let signature = event["signatures"]["one.example"]["ed25519:1"].take();
            event["signatures"]["one.example"] = json!({"ed25519:2": signature});
        }),
        altered(&good, |event| event["signatures"] = json!({})),
        altered(&good, |event| event["depth"] = json!(77)),
        altered(&good, |event| event["depth"] = json!(1.5)),
        altered(&good, |event| event["sender"] = json!("@mallory:two.example")),
        other.events[elsewhere].body.json().to_owned(),
        "7".to_owned(),
        "{}".to_owned(),
    ];
    for pdu in &forged {
        asked.answers(std::slice::from_ref(pdu));
        for (way, events) in asked.ask_all().await {
            assert!(events.is_empty(), "{way} believes {pdu}");
        }
    }
    let [first, ..] = &forged;
    asked.answers(&[first.clone(), good.clone(), good.clone()]);
    for (way, events) in asked.ask_all().await {
        let wanted: &[&EventBody] = if way == "event" { &[] } else { &[asked.last()] };
        assert_eq!(events.iter().collect::<Vec<_>>(), wanted, "{way}");
    }
}

#[tokio::test]
async fn hostile_8_what_was_altered_after_it_was_hashed_is_redacted() {
    let asked = Asked::new().await;
    let pdu = altered(asked.last().json(), |event| {
        event["content"]["body"] = json!("something else");
    });
    asked.answers(&[pdu]);
    for (way, events) in asked.ask_all().await {
        assert_eq!(events.len(), 1, "{way}");
        assert_eq!(events[0].event_id(), asked.last().event_id(), "{way}");
        assert_eq!(events[0].content(), "{}", "{way}");
    }
}

#[tokio::test]
async fn questions_are_asked_as_the_specification_has_them() {
    let asked = Asked::new().await;
    asked.answers(&[]);
    asked.ask_all().await;
    let room = encode(asked.dag.room_id().as_str());
    let id = encode(asked.last().event_id().as_str());
    let received = asked.remote.received();
    let targets: Vec<(&str, &str)> = received
        .iter()
        .map(|request| (request.method.as_str(), request.target.as_str()))
        .collect();
    let path = |rest: String| format!("/_matrix/federation/v1/{rest}");
    let wanted = [
        ("GET", path(format!("event/{id}"))),
        ("GET", path(format!("backfill/{room}?v={id}&limit=10"))),
        ("POST", path(format!("get_missing_events/{room}"))),
        ("GET", path(format!("event_auth/{room}/{id}"))),
        ("GET", path(format!("state/{room}?event_id={id}"))),
    ];
    let wanted: Vec<(&str, &str)> = wanted.iter().map(|(method, path)| (*method, path.as_str())).collect();
    assert_eq!(targets, wanted);
    let body: Value = serde_json::from_slice(&received[2].body).expect("JSON");
    let latest = asked.last().event_id().as_str();
    assert_eq!(
        body,
        json!({"earliest_events": [], "latest_events": [latest], "limit": 10, "min_depth": 0})
    );

    asked
        .remote
        .answers(|_| Some((200, r#"{"pdu_ids": ["$a"], "auth_chain_ids": ["$b", "$c"]}"#.to_owned())));
    let room = asked.dag.room_id();
    let ids = asked
        .world
        .federation
        .fetch_state_ids(&asked.name, &room, asked.last().event_id());
    let ids = ids.await.expect("an answer");
    assert_eq!((ids.state.len(), ids.auth_chain.len()), (1, 2));
    for nonsense in ["", "[]", "{}", r#"{"pdu_ids": [7], "auth_chain_ids": []}"#] {
        asked.remote.answers(move |_| Some((200, nonsense.to_owned())));
        let ids = asked
            .world
            .federation
            .fetch_state_ids(&asked.name, &room, asked.last().event_id());
        assert!(matches!(ids.await, Err(FetchError::Malformed { .. })), "{nonsense}");
    }
}
