//! Coming into rooms of other servers, and letting their users in: with another Plexus and with Synapse on the other side.

use std::{collections::BTreeSet, sync::Arc};

use plexus_tests::{Answer, Cluster, Http, PATIENCE, Synapse, Topology, User, encode, eventually, fresh_name};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

crate::federated_scenarios! {
    every_room_version_is_joined_both_ways,
    a_server_that_has_left_comes_back,
    restricted_rooms_let_in_who_is_vouched_for,
    who_may_not_join_does_not,
}

/// A server with users.
pub(super) struct Side {
    pub(super) name: String,
    pub(super) http: Http,
}

impl Side {
    pub(super) fn of(cluster: &Cluster) -> Self {
        Self {
            name: cluster.server_name().to_owned(),
            http: cluster.http(),
        }
    }
}

/// Another Plexus.
pub(super) async fn plexus() -> Side {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    let start = || Cluster::start_federated(Topology::AllInOne);
    Side::of(SHARED.get_or_init(start).await)
}

/// Synapse.
pub(super) async fn synapse() -> Side {
    let synapse = Synapse::shared().await;
    Side {
        name: synapse.server_name().to_owned(),
        http: synapse.http(),
    }
}

/// This server with each of the others.
pub(super) async fn pairs(cluster: &Cluster) -> Vec<(Side, Side)> {
    vec![
        (Side::of(cluster), plexus().await),
        (Side::of(cluster), synapse().await),
    ]
}

/// The same, and the other way round.
pub(super) async fn both_ways(cluster: &Cluster) -> Vec<(Side, Side)> {
    let mut pairs = pairs(cluster).await;
    let turned = self::pairs(cluster)
        .await
        .into_iter()
        .map(|(here, there)| (there, here));
    pairs.extend(turned);
    pairs
}

/// Joins by a server that is in the room.
pub(super) async fn join_via(user: &User, room: &str, server: &str) -> Answer {
    let server = encode(server);
    let target = format!(
        "/_matrix/client/v3/join/{}?via={server}&server_name={server}",
        encode(room)
    );
    user.http.post(&target, &json!({})).await
}

/// Everything there is to tell a user. Synapse answers the same question for some time as it did before: so it is another one each time.
pub(super) async fn sync_anew(user: &User) -> Value {
    let filter = json!({"room": {"include_leave": true}, "presence": {"not_types": [fresh_name("nothing")]}});
    let query = format!("&filter={}", encode(&filter.to_string()));
    user.sync(None, 0, &query).await.ok()
}

/// The ids of the events of the room's state.
pub(super) async fn state_ids(user: &User, room: &str) -> BTreeSet<String> {
    let state = user
        .http
        .get(&format!("/_matrix/client/v3/rooms/{}/state", encode(room)))
        .await
        .ok();
    let events = state.as_array().expect("a list");
    events
        .iter()
        .map(|event| event["event_id"].as_str().expect("an id").to_owned())
        .collect()
}

/// Who is in the room.
pub(super) async fn joined(user: &User, room: &str) -> BTreeSet<String> {
    let answer = user
        .http
        .get(&format!("/_matrix/client/v3/rooms/{}/joined_members", encode(room)))
        .await
        .ok();
    let members = answer["joined"].as_object().expect("members");
    members.keys().cloned().collect()
}

/// Waits until both see the same state.
pub(super) async fn until_same_state(one: &User, other: &User, room: &str) {
    eventually(PATIENCE, "both servers to have the same state", async || {
        let (left, right) = (state_ids(one, room).await, state_ids(other, room).await);
        if left == right {
            Ok(())
        } else {
            Err(format!("{left:?} is not {right:?}"))
        }
    })
    .await;
}

/// What somebody is to the room by another's eyes.
pub(super) async fn membership(seeing: &User, room: &str, user: &str) -> Value {
    // Another server may have told it to a process that is not asked.
    seeing.http.settled().await;
    let target = format!(
        "/_matrix/client/v3/rooms/{}/state/m.room.member/{}",
        encode(room),
        encode(user)
    );
    let answer = seeing.http.get(&target).await;
    let member: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    member["membership"].clone()
}

async fn every_room_version_is_joined_both_ways(cluster: Arc<Cluster>) {
    for (resident, joining) in both_ways(&cluster).await {
        let alice = User::register(&resident.http, "alice").await;
        let bob = User::register(&joining.http, "bob").await;
        for version in 1..=12 {
            let version = version.to_string();
            let create =
                json!({"preset": "public_chat", "room_version": version, "name": "The room", "topic": "Something"});
            let room = alice.create_room(&create).await;
            alice.say(&room, "hello").await;
            let answer = join_via(&bob, &room, &resident.name).await;
            assert_eq!(
                answer.ok()["room_id"],
                room.as_str(),
                "version {version} of {}",
                resident.name
            );
            assert_eq!(membership(&alice, &room, &bob.id).await, "join", "version {version}");
            until_same_state(&alice, &bob, &room).await;
            let sync = sync_anew(&bob).await;
            let seen = &sync["rooms"]["join"][&room];
            assert!(seen.is_object(), "version {version} of {}: {sync}", resident.name);
            assert_eq!(
                joined(&bob, &room).await,
                joined(&alice, &room).await,
                "version {version}"
            );
        }
    }
}

async fn a_server_that_has_left_comes_back(cluster: Arc<Cluster>) {
    for (resident, joining) in both_ways(&cluster).await {
        let alice = User::register(&resident.http, "alice").await;
        let bob = User::register(&joining.http, "bob").await;
        let room = alice
            .create_room(&json!({"preset": "public_chat", "topic": "before"}))
            .await;
        join_via(&bob, &room, &resident.name).await.ok();
        bob.act(&room, "leave", &json!({})).await.ok();
        eventually(PATIENCE, "the leave to arrive", async || {
            match membership(&alice, &room, &bob.id).await {
                left if left == "leave" => Ok(()),
                other => Err(other.to_string()),
            }
        })
        .await;
        // What happens meanwhile, nobody tells the server that has left.
        let topic = format!("/_matrix/client/v3/rooms/{}/state/m.room.topic/", encode(&room));
        alice.http.put(&topic, &json!({"topic": "meanwhile"})).await.ok();
        let rules = format!("/_matrix/client/v3/rooms/{}/state/m.room.join_rules/", encode(&room));
        alice.http.put(&rules, &json!({"join_rule": "invite"})).await.ok();
        let refused = join_via(&bob, &room, &resident.name).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
        alice.http.put(&rules, &json!({"join_rule": "public"})).await.ok();
        alice.http.put(&topic, &json!({"topic": "after"})).await.ok();
        join_via(&bob, &room, &resident.name).await.ok();
        assert_eq!(bob.http.get(&topic).await.ok()["topic"], "after");
        until_same_state(&alice, &bob, &room).await;
        // The second of a server comes in by the server itself.
        let carol = User::register(&joining.http, "carol").await;
        carol.join(&room).await;
        until_same_state(&alice, &bob, &room).await;
        assert_eq!(joined(&alice, &room).await.len(), 3);
    }
}

async fn restricted_rooms_let_in_who_is_vouched_for(cluster: Arc<Cluster>) {
    for (resident, joining) in both_ways(&cluster).await {
        let alice = User::register(&resident.http, "alice").await;
        let (bob, eve) = (
            User::register(&joining.http, "bob").await,
            User::register(&joining.http, "eve").await,
        );
        for version in ["8", "9", "10", "11", "12"] {
            let club = alice.create_room(&json!({"preset": "public_chat"})).await;
            let create = json!({
                "preset": "private_chat", "room_version": version,
                "initial_state": [{"type": "m.room.join_rules", "state_key": "", "content": {
                    "join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}],
                }}],
            });
            let room = alice.create_room(&create).await;
            let refused = join_via(&bob, &room, &resident.name).await;
            assert_eq!(refused.status, 403, "version {version}: {}", refused.text());
            join_via(&bob, &club, &resident.name).await.ok();
            join_via(&bob, &room, &resident.name).await.ok();
            until_same_state(&alice, &bob, &room).await;
            let member = format!(
                "/_matrix/client/v3/rooms/{}/state/m.room.member/{}",
                encode(&room),
                encode(&bob.id)
            );
            let member = alice.http.get(&member).await.ok();
            assert_eq!(
                member["join_authorised_via_users_server"],
                alice.id.as_str(),
                "version {version}"
            );
            // The server is in the room now, and has nobody there who may let others in.
            let refused = join_via(&eve, &room, &resident.name).await;
            assert_eq!(refused.status, 403, "version {version}: {}", refused.text());
            join_via(&eve, &club, &resident.name).await.ok();
            join_via(&eve, &room, &resident.name).await.ok();
            until_same_state(&alice, &eve, &room).await;
        }
    }
}

async fn who_may_not_join_does_not(cluster: Arc<Cluster>) {
    for (resident, joining) in both_ways(&cluster).await {
        let alice = User::register(&resident.http, "alice").await;
        let bob = User::register(&joining.http, "bob").await;
        let private = alice.create_room(&json!({"preset": "private_chat"})).await;
        let refused = join_via(&bob, &private, &resident.name).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
        let public = alice.create_public_room().await;
        alice.act(&public, "ban", &json!({"user_id": bob.id})).await.ok();
        let refused = join_via(&bob, &public, &resident.name).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
        let acl = format!("/_matrix/client/v3/rooms/{}/state/m.room.server_acl/", encode(&public));
        let (host, _) = joining.name.split_once(':').expect("a port");
        alice
            .http
            .put(
                &acl,
                &json!({"allow": ["*"], "deny": [host], "allow_ip_literals": true}),
            )
            .await
            .ok();
        let carol = User::register(&joining.http, "carol").await;
        let refused = join_via(&carol, &public, &resident.name).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
        let nothing = format!("!nothing:{}", resident.name);
        let refused = join_via(&bob, &nothing, &resident.name).await;
        assert!(matches!(refused.status, 404 | 502), "{}", refused.text());
    }
}
