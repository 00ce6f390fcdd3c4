//! What is looked up at other servers: aliases, directories, spaces.

use std::sync::Arc;

use http::Method;
use plexus_core::room_version::RoomVersion;
use plexus_tests::{Cluster, Peer, Shared, Topology, User, encode, fresh_name};
use serde_json::{Value, json};

use super::visited::Visited;

/// A double tells the master of rooms as a worker does; one process alone has no door for that.
static SPLIT: Shared = Shared::federated(Topology::Split);

#[test]
fn aliases_lead_to_rooms_of_any_server() {
    SPLIT.run(aliases);
}

async fn aliases(cluster: Arc<Cluster>) {
    let visited = Visited::new(&cluster, RoomVersion::V11).await;
    let (dave, peer) = (&visited.dave, &visited.peer);
    let alias = format!("#there:{}", peer.name());
    let answer = json!({"room_id": visited.room.room(), "servers": [peer.name(), "no server", "other.example"]});
    peer.answers(move |request| {
        let is_query = request
            .target
            .starts_with("/_matrix/federation/v1/query/directory?room_alias=%23there");
        is_query.then(|| (200, answer.clone()))
    });
    let directory = |alias: &str| format!("/_matrix/client/v3/directory/room/{}", encode(alias));
    let found = dave.http.get(&directory(&alias)).await.ok();
    assert_eq!(
        found,
        json!({"room_id": visited.room.room(), "servers": [peer.name(), "other.example"]})
    );
    let unknown = format!("#nowhere:{}", peer.name());
    dave.http
        .get(&directory(&unknown))
        .await
        .expect_error(404, "M_NOT_FOUND");

    // And ours, for others.
    let own = format!("#{}:{}", fresh_name("here"), visited.server);
    dave.http
        .put(&directory(&own), &json!({"room_id": visited.room.room()}))
        .await
        .ok();
    let ask = async |alias: &str| {
        let target = format!("/_matrix/federation/v1/query/directory?room_alias={}", encode(alias));
        visited.asks(peer, &target).await
    };
    let found = ask(&own).await.ok();
    assert_eq!(
        found,
        json!({"room_id": visited.room.room(), "servers": [visited.server, peer.name()]})
    );
    ask(&format!("#nowhere:{}", visited.server))
        .await
        .expect_error(404, "M_NOT_FOUND");
    ask(&alias).await.expect_error(400, "M_INVALID_PARAM");
}

#[test]
fn directories_are_shown_to_users_of_other_servers() {
    SPLIT.run(directories);
}

async fn directories(cluster: Arc<Cluster>) {
    let peer = Peer::start().await;
    let room = json!({"room_id": "!a:there", "name": "A", "num_joined_members": 3, "world_readable": false, "guest_can_join": false});
    let mut odd = room.clone();
    odd["surprise"] = json!({"x": 1});
    let answer = json!({"chunk": [odd, {"name": "no room"}], "next_batch": "next", "total_room_count_estimate": 7});
    peer.answers(move |request| {
        let is_plain = request.target == "/_matrix/federation/v1/publicRooms?limit=5";
        let is_search = request.method == Method::POST
            && request.target == "/_matrix/federation/v1/publicRooms"
            && request.body == "{\"filter\":{\"generic_search_term\":\"a\"}}".as_bytes();
        (is_plain || is_search).then(|| (200, answer.clone()))
    });
    let dave = User::register(&cluster.http(), "dave").await;
    let expected = json!({"chunk": [room], "next_batch": "next", "total_room_count_estimate": 7});
    let server = encode(&peer.name());
    let target = format!("/_matrix/client/v3/publicRooms?limit=5&server={server}");
    assert_eq!(dave.http.get(&target).await.ok(), expected);
    // Strangers do not make us ask others.
    cluster.http().get(&target).await.expect_error(401, "M_MISSING_TOKEN");
    let target = format!("/_matrix/client/v3/publicRooms?server={server}");
    let search = json!({"filter": {"generic_search_term": "a"}});
    assert_eq!(dave.http.post(&target, &search).await.ok(), expected);

    let name = fresh_name("listed");
    let listed = dave
        .create_room(&json!({"preset": "public_chat", "visibility": "public", "name": name}))
        .await;
    let http = cluster.direct("reader1");
    let search = json!({"filter": {"generic_search_term": name}}).to_string();
    let target = "/_matrix/federation/v1/publicRooms";
    let found = peer
        .ask(&http, cluster.server_name(), Method::POST, target, Some(&search))
        .await
        .ok();
    let rooms: Vec<&Value> = found["chunk"]
        .as_array()
        .expect("rooms")
        .iter()
        .map(|room| &room["room_id"])
        .collect();
    assert_eq!(rooms, [&Value::from(listed)]);
    let all = peer
        .ask(&http, cluster.server_name(), Method::GET, target, None)
        .await
        .ok();
    assert!(all["chunk"].as_array().is_some_and(|rooms| !rooms.is_empty()), "{all}");
}

/// A space's event that names a room in it.
fn child(room: &str, via: &str) -> Value {
    json!({"type": "m.space.child", "state_key": room, "content": {"via": [via]}})
}

#[test]
fn spaces_go_on_at_other_servers() {
    SPLIT.run(spaces);
}

async fn spaces(cluster: Arc<Cluster>) {
    let peer = Peer::start().await;
    let name = peer.name();
    let (space, open, closed) = (
        format!("!space:{name}"),
        format!("!open:{name}"),
        format!("!closed:{name}"),
    );
    let room = |id: &str, rule: &str, kind: Option<&str>, children: Vec<Value>| {
        let mut room = json!({
            "room_id": id, "num_joined_members": 1, "world_readable": false, "guest_can_join": false, "join_rule": rule,
            "children_state": children,
        });
        if let Some(kind) = kind {
            room["room_type"] = kind.into();
        }
        room
    };
    let mut children = vec![child(&open, &name), child(&closed, &name)];
    for (child, ts) in children.iter_mut().zip(1..) {
        child["sender"] = peer.user("alice").into();
        child["origin_server_ts"] = ts.into();
    }
    let told = room(&space, "public", Some("m.space"), children);
    let below = [
        room(&open, "public", None, Vec::new()),
        room(&closed, "invite", None, Vec::new()),
    ];
    let answer = json!({"room": told, "children": below, "inaccessible_children": []});
    let path = format!(
        "/_matrix/federation/v1/hierarchy/{}",
        plexus_federation::request::encode(&space)
    );
    let (asked, answered) = (path.clone(), answer.clone());
    peer.answers(move |request| request.target.starts_with(&asked).then(|| (200, answered.clone())));

    let dave = User::register(&cluster.http(), "dave").await;
    let top = dave
        .create_room(&json!({
            "preset": "public_chat", "creation_content": {"type": "m.space"},
            "initial_state": [child(&space, &name)],
        }))
        .await;
    let target = format!("/_matrix/client/v1/rooms/{}/hierarchy", encode(&top));
    for _ in 0..2 {
        let rooms = dave.http.get(&target).await.ok();
        let ids: Vec<&str> = rooms["rooms"]
            .as_array()
            .expect("rooms")
            .iter()
            .filter_map(|room| room["room_id"].as_str())
            .collect();
        assert_eq!(ids, [&top, &space, &open], "what nobody may come into is not shown");
        assert_eq!(rooms["rooms"][1]["children_state"], answer["room"]["children_state"]);
    }
    assert_eq!(peer.remote.count(&path), 1, "what was told is remembered for a while");
    let target = format!(
        "/_matrix/client/v1/room_summary/{}?via={}",
        encode(&space),
        encode(&name)
    );
    assert_eq!(dave.http.get(&target).await.ok()["room_type"], "m.space");
    cluster.http().get(&target).await.expect_error(404, "M_NOT_FOUND");
}

#[test]
fn hostile_10_servers_are_shown_of_spaces_what_their_users_could_join() {
    SPLIT.run(serving_spaces);
}

async fn serving_spaces(cluster: Arc<Cluster>) {
    let visited = Visited::new(&cluster, RoomVersion::V11).await;
    let (dave, here) = (&visited.dave, &visited.server);
    let public = dave.create_public_room().await;
    let secret = dave.create_room(&json!({"preset": "private_chat"})).await;
    let restricted = |allowed: &str| {
        let rules = json!({"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": allowed}]});
        json!({"initial_state": [{"type": "m.room.join_rules", "state_key": "", "content": rules}]})
    };
    let for_members = dave.create_room(&restricted(&visited.room.room())).await;
    let for_others = dave.create_room(&restricted(&secret)).await;
    let named = [
        &public,
        &secret,
        &for_members,
        &for_others,
        &"!unknown:there".to_owned(),
    ];
    let children: Vec<Value> = named.iter().map(|room| child(room, here)).collect();
    let space = json!({"preset": "public_chat", "creation_content": {"type": "m.space"}, "initial_state": children});
    let space = dave.create_room(&space).await;
    let target = |room: &str| format!("/_matrix/federation/v1/hierarchy/{}", encode(room));
    let told = visited.asks(&visited.peer, &target(&space)).await.ok();
    assert_eq!(told["room"]["room_id"], space);
    assert_eq!(told["room"]["children_state"].as_array().map(Vec::len), Some(5));
    let ids = |list: &Value| -> Vec<String> {
        let id = |room: &Value| room["room_id"].as_str().or(room.as_str()).expect("an id").to_owned();
        let mut ids: Vec<String> = list.as_array().expect("a list").iter().map(id).collect();
        ids.sort_unstable();
        ids
    };
    let sorted = |mut ids: Vec<String>| {
        ids.sort_unstable();
        ids
    };
    assert_eq!(ids(&told["children"]), sorted(vec![public.clone(), for_members]));
    assert_eq!(
        ids(&told["inaccessible_children"]),
        sorted(vec![secret.clone(), for_others])
    );
    visited
        .asks(&visited.peer, &target(&secret))
        .await
        .expect_error(404, "M_NOT_FOUND");
    let complexity = |room: &str| format!("/_matrix/federation/unstable/rooms/{}/complexity", encode(room));
    let told = visited.asks(&visited.peer, &complexity(&public)).await.ok();
    assert!(
        told["v1"].as_f64().is_some_and(|v1| (0.01..0.1).contains(&v1)),
        "{told}"
    );
    visited
        .asks(&visited.peer, &complexity(&secret))
        .await
        .expect_error(404, "M_NOT_FOUND");
}
