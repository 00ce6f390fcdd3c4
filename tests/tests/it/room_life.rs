//! Rooms from their creation to their end: options, aliases, the directory, spaces, upgrades, forgetting.

mod aliases;
mod directory;
mod replaced;
mod spaces;

use std::sync::Arc;

use http::Method;
use plexus_tests::{Answer, Cluster, Http, User, encode, fresh_name};
use serde_json::{Value, json};

use self::{
    aliases::{a_canonical_alias_leads_to_its_room, aliases_are_made_found_and_taken_away},
    directory::the_directory_is_paged_and_searched,
    replaced::{a_replacement_needs_power_and_a_known_version, a_room_is_replaced_with_all_that_matters},
    spaces::a_space_is_walked_page_by_page,
};

super::scenarios! {
    rooms_are_made_as_asked_or_not_at_all,
    aliases_are_made_found_and_taken_away,
    a_canonical_alias_leads_to_its_room,
    the_directory_is_paged_and_searched,
    people_knock_and_members_of_allowed_rooms_come_in,
    who_has_forgotten_a_room_is_a_stranger_until_he_returns,
    a_room_is_replaced_with_all_that_matters,
    a_replacement_needs_power_and_a_known_version,
    a_space_is_walked_page_by_page,
    seed_5226_5328_old_paths_and_transactions_still_work,
}

const V3: &str = "/_matrix/client/v3";

async fn people<const N: usize>(http: &Http) -> [User; N] {
    let mut people = Vec::new();
    for _ in 0..N {
        people.push(User::register(http, "person").await);
    }
    people.try_into().expect("as many as asked for")
}

async fn delete(user: &User, target: &str) -> Answer {
    user.http.send(Method::DELETE, target, "{}").await
}

/// Status and errcode of a refusal.
fn refusal(answer: &Answer) -> (u16, String) {
    let errcode = answer.json()["errcode"].as_str().unwrap_or_default().to_owned();
    (answer.status, errcode)
}

fn refused(status: u16, errcode: &str) -> (u16, String) {
    (status, errcode.to_owned())
}

fn server_of(user: &User) -> &str {
    user.id.split_once(':').expect("a user id").1
}

async fn state(user: &User, room: &str, kind: &str) -> Value {
    let target = format!("{V3}/rooms/{}/state/{kind}", encode(room));
    user.http.get(&target).await.ok()
}

async fn set_state(user: &User, room: &str, kind: &str, key: &str, content: &Value) -> Answer {
    let target = format!("{V3}/rooms/{}/state/{kind}/{}", encode(room), encode(key));
    user.http.put(&target, content).await
}

fn alias_target(alias: &str) -> String {
    format!("{V3}/directory/room/{}", encode(alias))
}

async fn set_alias(user: &User, alias: &str, room: &str) -> Answer {
    user.http.put(&alias_target(alias), &json!({"room_id": room})).await
}

async fn rooms_are_made_as_asked_or_not_at_all(cluster: Arc<Cluster>) {
    let [alice, bob] = people(&cluster.http()).await;
    let name = fresh_name("pub");
    a_room_is_as_asked(&alice, &bob, &name).await;
    what_makes_no_room_is_refused(&alice, &name).await;
    // Seed P1, 5223, 5249: the version of who asks for none is the one that is told.
    let capabilities = alice.http.get(&format!("{V3}/capabilities")).await.ok();
    let plain = alice.create_room(&json!({})).await;
    let version = &state(&alice, &plain, "m.room.create").await["room_version"];
    assert_eq!(*version, capabilities["capabilities"]["m.room_versions"]["default"]);
    // A member event that a client sets itself has what the membership endpoints give it.
    let key = format!("m.room.member/{}", encode(&bob.id));
    set_state(
        &alice,
        &plain,
        "m.room.member",
        &bob.id,
        &json!({"membership": "invite"}),
    )
    .await
    .ok();
    assert!(state(&alice, &plain, &key).await["displayname"].is_string());
    set_state(
        &bob,
        &plain,
        "m.room.member",
        &bob.id,
        &json!({"membership": "join", "foo": 1}),
    )
    .await
    .ok();
    let member = state(&bob, &plain, &key).await;
    assert!(member["displayname"].is_string() && member["foo"] == 1, "{member}");
    let trusted = json!({"preset": "trusted_private_chat", "invite": [bob.id], "room_version": "12"});
    let trusted = alice.create_room(&trusted).await;
    assert_eq!(
        state(&alice, &trusted, "m.room.create").await["additional_creators"],
        json!([bob.id])
    );
    let levels = state(&alice, &trusted, "m.room.power_levels").await;
    assert_eq!(
        (&levels["users"], &levels["events"]["m.room.tombstone"]),
        (&json!({}), &json!(150))
    );
}

fn room_ids(chunk: &Value) -> Vec<String> {
    let rooms = chunk.as_array().expect("a chunk");
    rooms
        .iter()
        .map(|room| room["room_id"].as_str().expect("an id").to_owned())
        .collect()
}

async fn a_room_is_as_asked(alice: &User, bob: &User, name: &str) {
    let room = alice
        .create_room(&json!({
            "visibility": "public", "room_alias_name": name, "name": "The Pub", "topic": "Beer", "invite": [bob.id], "is_direct": true,
            "initial_state": [{"type": "m.room.name", "content": {"name": "overwritten"}}, {"type": "org.example", "state_key": "k", "content": {"a": 1}}],
            "creation_content": {"m.federate": false, "type": "org.example.kind"},
        }))
        .await;
    let alias = format!("#{name}:{}", server_of(alice));
    assert_eq!(
        state(alice, &room, "m.room.canonical_alias").await,
        json!({"alias": alias})
    );
    assert_eq!(state(alice, &room, "m.room.name").await["name"], "The Pub");
    assert_eq!(
        state(alice, &room, "m.room.topic").await["m.topic"]["m.text"][0]["body"],
        "Beer"
    );
    assert_eq!(state(alice, &room, "org.example/k").await, json!({"a": 1}));
    assert_eq!(state(alice, &room, "m.room.join_rules").await["join_rule"], "public");
    assert_eq!(state(alice, &room, "m.room.create").await["type"], "org.example.kind");
    let listed = format!("{V3}/directory/list/room/{}", encode(&room));
    assert_eq!(alice.http.get(&listed).await.ok(), json!({"visibility": "public"}));
    let member = state(alice, &room, &format!("m.room.member/{}", encode(&bob.id))).await;
    assert_eq!(
        (&member["membership"], &member["is_direct"]),
        (&json!("invite"), &json!(true))
    );
}

async fn what_makes_no_room_is_refused(alice: &User, name: &str) {
    let refusals = [
        (json!({"room_alias_name": name}), 400, "M_ROOM_IN_USE"),
        (json!({"room_alias_name": "with space"}), 400, "M_INVALID_PARAM"),
        (json!({"room_alias_name": "with:colon"}), 400, "M_INVALID_PARAM"),
        (json!({"room_version": "nope"}), 400, "M_UNSUPPORTED_ROOM_VERSION"),
        (json!({"room_version": 1}), 400, "M_BAD_JSON"),
        (
            json!({"room_version": "11", "name": "x", "power_level_content_override": {"users": {alice.id.as_str(): 10}}}),
            400,
            "M_INVALID_ROOM_STATE",
        ),
        (json!({"preset": "chaos"}), 400, "M_INVALID_PARAM"),
        (
            json!({"invite_3pid": [{"id_server": "x", "id_access_token": "y", "medium": "email", "address": "a@b"}]}),
            400,
            "M_SERVER_NOT_TRUSTED",
        ),
    ];
    for (body, status, errcode) in refusals {
        let answer = alice.http.post(&format!("{V3}/createRoom"), &body).await;
        assert_eq!(refusal(&answer), refused(status, errcode), "{body}");
    }
}

async fn people_knock_and_members_of_allowed_rooms_come_in(cluster: Arc<Cluster>) {
    let [alice, bob, carol] = people(&cluster.http()).await;
    let club = alice.create_public_room().await;
    let rules = json!({"join_rule": "knock_restricted", "allow": [{"type": "m.room_membership", "room_id": club}]});
    let room = alice
        .create_room(&json!({"initial_state": [{"type": "m.room.join_rules", "content": rules}], "room_alias_name": fresh_name("door")}))
        .await;
    let alias = state(&alice, &room, "m.room.canonical_alias").await["alias"]
        .as_str()
        .expect("an alias")
        .to_owned();
    assert_eq!(bob.act(&room, "join", &json!({})).await.status, 403);
    let knock = |room: &str| format!("{V3}/knock/{}", encode(room));
    let knocked = bob
        .http
        .post(&knock(&alias), &json!({"reason": "let me in"}))
        .await
        .ok();
    assert_eq!(knocked, json!({"room_id": room}));
    let member = state(&alice, &room, &format!("m.room.member/{}", encode(&bob.id))).await;
    assert_eq!(
        (&member["membership"], &member["reason"]),
        (&json!("knock"), &json!("let me in"))
    );
    alice.invite(&room, &bob).await;
    bob.join(&room).await;
    assert_eq!(
        bob.http.post(&knock(&room), &json!({})).await.status,
        403,
        "he is in already"
    );
    carol.join(&club).await;
    carol.join(&room).await;
    let member = state(&alice, &room, &format!("m.room.member/{}", encode(&carol.id))).await;
    assert_eq!(member["join_authorised_via_users_server"], alice.id.as_str());
    assert_eq!(carol.http.post(&knock(&club), &json!({})).await.status, 403);
}

async fn who_has_forgotten_a_room_is_a_stranger_until_he_returns(cluster: Arc<Cluster>) {
    let [alice, bob] = people(&cluster.http()).await;
    let room = alice.create_public_room().await;
    let forget = async |user: &User| {
        let answer = user.act(&room, "forget", &json!({})).await;
        refusal(&answer)
    };
    assert_eq!(forget(&bob).await, (403, "M_FORBIDDEN".to_owned()));
    bob.join(&room).await;
    alice.say(&room, "before").await;
    assert_eq!(forget(&bob).await, (400, "M_UNKNOWN".to_owned()));
    bob.act(&room, "leave", &json!({})).await.ok();
    assert_eq!(bob.messages(&room, "b", "").await.status, 200);
    assert_eq!(forget(&bob).await.0, 200);
    assert_eq!(forget(&bob).await.0, 200, "twice is once");
    assert_eq!(bob.messages(&room, "b", "").await.status, 403);
    let state_target = format!("{V3}/rooms/{}/state", encode(&room));
    assert_eq!(bob.http.get(&state_target).await.status, 403);
    let filter = encode(r#"{"room":{"include_leave":true}}"#);
    let archived = bob.sync(None, 0, &format!("&filter={filter}")).await.ok();
    assert!(archived["rooms"]["leave"][&room].is_null(), "{archived}");
    bob.join(&room).await;
    let bodies = bob.messages(&room, "b", "&limit=50").await.ok().to_string();
    assert!(bodies.contains("before"));
    bob.act(&room, "leave", &json!({})).await.ok();
    assert_eq!(
        bob.messages(&room, "b", "").await.status,
        200,
        "a new departure is not forgotten"
    );
}

async fn seed_5226_5328_old_paths_and_transactions_still_work(cluster: Arc<Cluster>) {
    let [alice, bob] = people(&cluster.http()).await;
    let txn = fresh_name("txn");
    let body = json!({"preset": "public_chat"});
    let create = format!("/_matrix/client/api/v1/createRoom/{txn}");
    let room = alice.http.put(&create, &body).await.ok()["room_id"]
        .as_str()
        .expect("a room")
        .to_owned();
    assert_eq!(alice.http.put(&create, &body).await.ok()["room_id"], room.as_str());
    let path = |prefix: &str, rest: &str| format!("/_matrix/client/{prefix}/rooms/{}/{rest}", encode(&room));
    for (prefix, verb) in [
        ("api/v1", "join/1"),
        ("r0", "leave/2"),
        ("unstable", "join/3"),
        ("v3", "join/4"),
    ] {
        bob.http.put(&path(prefix, verb), &json!({})).await.ok();
    }
    let send = path("api/v1", "send/m.room.message");
    let first = bob.http.post(&send, &json!({"body": "x"})).await.ok()["event_id"].clone();
    let second = bob.http.post(&send, &json!({"body": "x"})).await.ok()["event_id"].clone();
    assert_ne!(first, second, "without a transaction id there are two");
    let event = first.as_str().expect("an id");
    bob.http
        .post(
            &path("r0", &format!("redact/{}", encode(event))),
            &json!({"reason": "R"}),
        )
        .await
        .ok();
    for target in [path("v3", "state/org.example"), path("api/v1", "state/org.example/")] {
        alice.http.put(&target, &json!({"at": target})).await.ok();
        assert_eq!(
            alice.http.get(&path("unstable", "state/org.example/")).await.ok()["at"],
            target.as_str()
        );
    }
    let large = json!({"body": "A".repeat(70_000)});
    assert_eq!(bob.http.post(&send, &large).await.status, 413);
    assert_eq!(alice.http.put(&path("v3", "state/oooooooh"), &large).await.status, 413);
}
