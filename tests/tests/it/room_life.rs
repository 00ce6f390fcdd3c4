//! Rooms from their creation to their end: options, aliases, the directory, spaces, upgrades, forgetting.

use std::{collections::BTreeMap, sync::Arc};

use http::Method;
use plexus_tests::{Answer, Cluster, Http, User, encode, fresh_name};
use serde_json::{Value, json};

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
    let room = alice
        .create_room(&json!({
            "visibility": "public", "room_alias_name": name, "name": "The Pub", "topic": "Beer", "invite": [bob.id], "is_direct": true,
            "initial_state": [{"type": "m.room.name", "content": {"name": "overwritten"}}, {"type": "org.example", "state_key": "k", "content": {"a": 1}}],
            "creation_content": {"m.federate": false, "type": "org.example.kind"},
        }))
        .await;
    let alias = format!("#{name}:{}", server_of(&alice));
    assert_eq!(
        state(&alice, &room, "m.room.canonical_alias").await,
        json!({"alias": alias})
    );
    assert_eq!(state(&alice, &room, "m.room.name").await["name"], "The Pub");
    assert_eq!(
        state(&alice, &room, "m.room.topic").await["m.topic"]["m.text"][0]["body"],
        "Beer"
    );
    assert_eq!(state(&alice, &room, "org.example/k").await, json!({"a": 1}));
    assert_eq!(state(&alice, &room, "m.room.join_rules").await["join_rule"], "public");
    assert_eq!(state(&alice, &room, "m.room.create").await["type"], "org.example.kind");
    let listed = format!("{V3}/directory/list/room/{}", encode(&room));
    assert_eq!(alice.http.get(&listed).await.ok(), json!({"visibility": "public"}));
    let member = state(&alice, &room, &format!("m.room.member/{}", encode(&bob.id))).await;
    assert_eq!(
        (&member["membership"], &member["is_direct"]),
        (&json!("invite"), &json!(true))
    );
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
            403,
            "M_THREEPID_DENIED",
        ),
    ];
    for (body, status, errcode) in refusals {
        let answer = alice.http.post(&format!("{V3}/createRoom"), &body).await;
        assert_eq!(refusal(&answer), refused(status, errcode), "{body}");
    }
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

async fn aliases_are_made_found_and_taken_away(cluster: Arc<Cluster>) {
    let [alice, bob, carol] = people(&cluster.http()).await;
    let room = alice.create_public_room().await;
    let alias = format!("#☕{}:{}", fresh_name("alias"), server_of(&alice));
    let target = alias_target(&alias);
    assert_eq!(alice.http.get(&target).await.status, 404);
    let outsider = set_alias(&bob, &alias, &room).await;
    assert_eq!(refusal(&outsider), refused(403, "M_FORBIDDEN"));
    bob.join(&room).await;
    carol.join(&room).await;
    set_alias(&bob, &alias, &room).await.ok();
    let found = cluster.http().get(&target).await.ok();
    assert_eq!(found, json!({"room_id": room, "servers": [server_of(&alice)]}));
    assert_eq!(set_alias(&alice, &alias, &room).await.status, 409);
    let foreign = set_alias(&alice, "#there:elsewhere.example", &room).await;
    assert_eq!(refusal(&foreign), refused(400, "M_INVALID_PARAM"));
    let list = format!("{V3}/rooms/{}/aliases", encode(&room));
    assert_eq!(alice.http.get(&list).await.ok(), json!({"aliases": [alias]}));
    let [dave] = people(&cluster.http()).await;
    assert_eq!(dave.http.get(&list).await.status, 403);
    let joined = dave
        .http
        .post(&format!("{V3}/join/{}", encode(&alias)), &json!({"foo": "bar"}))
        .await
        .ok();
    assert_eq!(joined, json!({"room_id": room}));
    let member = state(&dave, &room, &format!("m.room.member/{}", encode(&dave.id))).await;
    assert_eq!((&member["foo"], &member["membership"]), (&json!("bar"), &json!("join")));
    // His own, and with power anybody's; but not another's.
    assert_eq!(delete(&carol, &target).await.status, 403);
    delete(&alice, &target).await.ok();
    let gone = delete(&alice, &target).await;
    assert_eq!(refusal(&gone), refused(404, "M_NOT_FOUND"));
    assert_eq!(
        dave.http
            .post(&format!("{V3}/join/{}", encode(&alias)), &json!({}))
            .await
            .status,
        404
    );
    // Of many who want the same alias one gets it.
    let alias = format!("#{}:{}", fresh_name("race"), server_of(&alice));
    let (a, b, c, d) = tokio::join!(
        set_alias(&alice, &alias, &room),
        set_alias(&bob, &alias, &room),
        set_alias(&carol, &alias, &room),
        set_alias(&alice, &alias, &room),
    );
    let mut statuses = [a, b, c, d].map(|answer| answer.status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409]);
}

async fn a_canonical_alias_leads_to_its_room(cluster: Arc<Cluster>) {
    let [alice, bob] = people(&cluster.http()).await;
    let (room, other) = (alice.create_public_room().await, alice.create_public_room().await);
    bob.join(&room).await;
    let alias = |what: &str| format!("#{}:{}", fresh_name(what), server_of(&alice));
    let (main, elsewhere) = (alias("main"), alias("elsewhere"));
    set_alias(&bob, &main, &room).await.ok();
    set_alias(&alice, &elsewhere, &other).await.ok();
    let set = async |content: Value| {
        let answer = set_state(&alice, &room, "m.room.canonical_alias", "", &content).await;
        refusal(&answer)
    };
    assert_eq!(
        set(json!({"alias": alias("missing")})).await,
        refused(400, "M_BAD_ALIAS")
    );
    assert_eq!(
        set(json!({"alias": main.replace('#', "%")})).await,
        refused(400, "M_INVALID_PARAM")
    );
    assert_eq!(
        set(json!({"alias": main, "alt_aliases": [alias("missing")]})).await,
        refused(400, "M_BAD_ALIAS")
    );
    assert_eq!(
        set(json!({"alias": main, "alt_aliases": [elsewhere]})).await,
        refused(400, "M_BAD_ALIAS")
    );
    assert_eq!(
        set(json!({"alias": main, "alt_aliases": [main.replace('#', "%")]})).await,
        refused(400, "M_INVALID_PARAM")
    );
    assert_eq!(set(json!({"alias": main, "alt_aliases": [main]})).await.0, 200);
    // Whoever made the alias takes it away, though he may not say so in the room.
    delete(&bob, &alias_target(&main)).await.ok();
    assert_eq!(
        state(&alice, &room, "m.room.canonical_alias").await["alias"],
        main.as_str()
    );
    set_alias(&alice, &main, &room).await.ok();
    delete(&alice, &alias_target(&main)).await.ok();
    assert_eq!(state(&alice, &room, "m.room.canonical_alias").await, json!({}));
}

async fn public_rooms(user: &User, body: &Value) -> Value {
    user.http.post(&format!("{V3}/publicRooms"), body).await.ok()
}

fn room_ids(chunk: &Value) -> Vec<String> {
    let rooms = chunk.as_array().expect("a chunk");
    rooms
        .iter()
        .map(|room| room["room_id"].as_str().expect("an id").to_owned())
        .collect()
}

async fn the_directory_is_paged_and_searched(cluster: Arc<Cluster>) {
    let [alice, bob] = people(&cluster.http()).await;
    let word = fresh_name("Wombles");
    let mut rooms = Vec::new();
    for i in 0..7 {
        let body = json!({"visibility": "public", "name": format!("{i}"), "topic": format!("about {word}")});
        rooms.push(alice.create_room(&body).await);
    }
    bob.join(&rooms[4]).await;
    let search = |limit: usize, since: Option<&str>| json!({"limit": limit, "since": since, "filter": {"generic_search_term": word.to_lowercase()}});
    let all = public_rooms(&alice, &search(100, None)).await;
    let mut expected = rooms.clone();
    expected.swap_remove(4);
    expected.sort_by_key(|room| rooms.iter().position(|other| other == room));
    expected.insert(0, rooms[4].clone());
    assert_eq!(room_ids(&all["chunk"]), expected, "more members first");
    let first = &all["chunk"][0];
    let shown = json!({"num_joined_members": first["num_joined_members"], "join_rule": first["join_rule"], "world_readable": first["world_readable"],
        "guest_can_join": first["guest_can_join"]});
    assert_eq!(
        shown,
        json!({"num_joined_members": 2, "join_rule": "public", "world_readable": false, "guest_can_join": false})
    );
    // All pages forwards, and back again.
    let (mut pages, mut since) = (Vec::new(), None::<String>);
    let last = loop {
        let page = public_rooms(&alice, &search(3, since.as_deref())).await;
        pages.extend(room_ids(&page["chunk"]));
        match page["next_batch"].as_str() {
            Some(next) => since = Some(next.to_owned()),
            None => break page,
        }
    };
    assert_eq!(pages, expected);
    let mut since = last["prev_batch"].as_str().map(str::to_owned);
    let mut back = Vec::new();
    while let Some(token) = since {
        let page = public_rooms(&alice, &search(3, Some(&token))).await;
        back.splice(0..0, room_ids(&page["chunk"]));
        since = page["prev_batch"].as_str().map(str::to_owned);
    }
    assert_eq!(back, expected[..expected.len() - room_ids(&last["chunk"]).len()]);
    // Without a token, of this server by name, of others, and with limits that are none.
    let anybody = cluster.http();
    let target = format!("{V3}/publicRooms");
    assert!(anybody.get(&format!("{target}?limit=1")).await.ok()["next_batch"].is_string());
    assert_eq!(
        anybody
            .get(&format!("{target}?server={}", server_of(&alice)))
            .await
            .status,
        200
    );
    assert_eq!(
        anybody.get(&format!("{target}?server=elsewhere.example")).await.status,
        404
    );
    for broken in ["limit=abc", "since=abc"] {
        let seed_5257 = anybody.get(&format!("{target}?{broken}")).await;
        assert_eq!(refusal(&seed_5257), refused(400, "M_INVALID_PARAM"), "{broken}");
    }
    let network = public_rooms(&alice, &json!({"third_party_instance_id": "irc"})).await;
    assert_eq!(network["chunk"], json!([]));
    // Rooms leave the directory, and only those with the power take them out.
    let listed = format!("{V3}/directory/list/room/{}", encode(&rooms[4]));
    assert_eq!(
        bob.http.put(&listed, &json!({"visibility": "private"})).await.status,
        403
    );
    alice.http.put(&listed, &json!({"visibility": "private"})).await.ok();
    assert_eq!(
        room_ids(&public_rooms(&alice, &search(100, None)).await["chunk"]),
        expected[1..]
    );
    assert_eq!(
        alice
            .http
            .get(&format!("{V3}/directory/list/room/%21no%3Awhere"))
            .await
            .status,
        404
    );
    let network = format!("{V3}/directory/list/appservice/irc/{}", encode(&rooms[4]));
    assert_eq!(
        alice.http.put(&network, &json!({"visibility": "public"})).await.status,
        403
    );
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

async fn a_room_is_replaced_with_all_that_matters(cluster: Arc<Cluster>) {
    let [alice, bob] = people(&cluster.http()).await;
    for (from, to) in [("1", "2"), ("5", "11"), ("11", "12"), ("12", "12"), ("12", "10")] {
        let alias = format!("#{}:{}", fresh_name("moves"), server_of(&alice));
        let room = alice
            .create_room(
                &json!({"preset": "public_chat", "visibility": "public", "room_version": from, "name": "N",
                "creation_content": {"m.federate": false, "type": "kind"}}),
            )
            .await;
        set_alias(&alice, &alias, &room).await.ok();
        let carried: BTreeMap<&str, Value> = BTreeMap::from([
            ("m.room.topic", json!({"topic": "T"})),
            ("m.room.avatar", json!({"url": "mxc://a/b"})),
            ("m.room.history_visibility", json!({"history_visibility": "joined"})),
            ("m.room.encryption", json!({"algorithm": "m.megolm.v1.aes-sha2"})),
            ("m.room.server_acl", json!({"allow": ["*"], "deny": ["evil.example"]})),
            ("m.room.canonical_alias", json!({"alias": alias})),
        ]);
        for (kind, content) in &carried {
            set_state(&alice, &room, kind, "", content).await.ok();
        }
        alice
            .act(&room, "ban", &json!({"user_id": bob.id, "reason": "R"}))
            .await
            .ok();
        let answer = alice.act(&room, "upgrade", &json!({"new_version": to})).await.ok();
        let new = answer["replacement_room"].as_str().expect("a room").to_owned();
        let create = state(&alice, &new, "m.room.create").await;
        assert_eq!(
            (&create["room_version"], &create["type"], &create["m.federate"]),
            (&json!(to), &json!("kind"), &json!(false))
        );
        assert_eq!(create["predecessor"]["room_id"], room.as_str());
        assert_eq!(create["predecessor"]["event_id"].is_string(), to != "12", "{create}");
        assert_eq!(
            state(&alice, &room, "m.room.tombstone").await["replacement_room"],
            new.as_str()
        );
        for (kind, content) in &carried {
            assert_eq!(state(&alice, &new, kind).await, *content, "{kind} from {from} to {to}");
        }
        let ban = state(&alice, &new, &format!("m.room.member/{}", encode(&bob.id))).await;
        assert_eq!((&ban["membership"], &ban["reason"]), (&json!("ban"), &json!("R")));
        assert_eq!(
            alice.http.get(&alias_target(&alias)).await.ok()["room_id"],
            new.as_str()
        );
        assert_eq!(state(&alice, &room, "m.room.canonical_alias").await, json!({}));
        let levels = state(&alice, &room, "m.room.power_levels").await;
        assert_eq!((&levels["events_default"], &levels["invite"]), (&json!(50), &json!(50)));
        let levels = state(&alice, &new, "m.room.power_levels").await;
        let users = if to == "12" {
            json!({})
        } else {
            json!({alice.id.as_str(): 100})
        };
        assert_eq!(
            (&levels["users"], &levels["events_default"]),
            (&users, &json!(0)),
            "from {from} to {to}"
        );
        for (room, visibility) in [(&room, "private"), (&new, "public")] {
            let listed = format!("{V3}/directory/list/room/{}", encode(room));
            assert_eq!(alice.http.get(&listed).await.ok()["visibility"], visibility);
        }
        alice.say(&new, "hello").await;
    }
}

async fn a_replacement_needs_power_and_a_known_version(cluster: Arc<Cluster>) {
    let [alice, bob] = people(&cluster.http()).await;
    let room = alice
        .create_room(&json!({"preset": "public_chat", "room_version": "11"}))
        .await;
    let upgrade = async |user: &User, room: &str, version: &str| {
        let answer = user.act(room, "upgrade", &json!({"new_version": version})).await;
        refusal(&answer)
    };
    assert_eq!(upgrade(&bob, &room, "12").await, (404, "M_NOT_FOUND".to_owned()));
    assert_eq!(
        upgrade(&alice, "!no:where", "12").await,
        (404, "M_NOT_FOUND".to_owned())
    );
    assert_eq!(
        upgrade(&alice, &room, "mine").await,
        (400, "M_UNSUPPORTED_ROOM_VERSION".to_owned())
    );
    bob.join(&room).await;
    assert_eq!(upgrade(&bob, &room, "12").await, (403, "M_FORBIDDEN".to_owned()));
    // With just enough power to replace the room, and none over its levels: he has that only while he makes the new one.
    let mut levels = state(&alice, &room, "m.room.power_levels").await;
    levels["users"][&bob.id] = 50.into();
    levels["events"]["m.room.tombstone"] = 50.into();
    set_state(&alice, &room, "m.room.power_levels", "", &levels).await.ok();
    let answer = bob.act(&room, "upgrade", &json!({"new_version": "11"})).await.ok();
    let new = answer["replacement_room"].as_str().expect("a room");
    assert_eq!(state(&bob, new, "m.room.power_levels").await, levels);
    assert_eq!(
        state(&bob, &room, "m.room.power_levels").await,
        levels,
        "he has no power to close it"
    );
    let itself = set_state(
        &alice,
        &room,
        "m.room.tombstone",
        "",
        &json!({"replacement_room": room}),
    )
    .await;
    assert_eq!(itself.status, 400);
    let room = alice.create_room(&json!({"room_version": "12"})).await;
    let body = json!({"new_version": "12", "additional_creators": [bob.id]});
    let answer = alice.act(&room, "upgrade", &body).await.ok();
    let new = answer["replacement_room"].as_str().expect("a room");
    assert_eq!(
        state(&alice, new, "m.room.create").await["additional_creators"],
        json!([bob.id])
    );
}

async fn a_space_is_walked_page_by_page(cluster: Arc<Cluster>) {
    let [alice, bob] = people(&cluster.http()).await;
    let space = json!({"preset": "public_chat", "name": "Space", "creation_content": {"type": "m.space"}});
    let (top, middle) = (alice.create_room(&space).await, alice.create_room(&space).await);
    let (open, hidden) = (
        alice
            .create_room(&json!({"preset": "public_chat", "name": "Open"}))
            .await,
        alice.create_room(&json!({"preset": "private_chat"})).await,
    );
    let via = [server_of(&alice)];
    let put = async |parent: &str, child: &str, content: Value| {
        set_state(&alice, parent, "m.space.child", child, &content).await.ok();
    };
    put(&top, &middle, json!({"via": via, "order": "b", "suggested": true})).await;
    put(&top, &hidden, json!({"via": via, "order": "a"})).await;
    put(&top, "!unknown:elsewhere.example", json!({"via": via, "order": "aa"})).await;
    put(&middle, &open, json!({"via": via})).await;
    put(&middle, &top, json!({"via": via})).await;
    let target = |query: &str| format!("/_matrix/client/v1/rooms/{}/hierarchy?{query}", encode(&top));
    let walk = async |user: &User, query: &str| user.http.get(&target(query)).await.ok();
    assert_eq!(
        room_ids(&walk(&alice, "").await["rooms"]),
        [&top, &hidden, &middle, &open].map(Clone::clone)
    );
    let seen = walk(&bob, "").await;
    assert_eq!(room_ids(&seen["rooms"]), [&top, &middle, &open].map(Clone::clone));
    assert_eq!(seen["rooms"][0]["children_state"].as_array().map(Vec::len), Some(3));
    assert_eq!(seen["rooms"][0]["room_type"], "m.space");
    assert_eq!(
        room_ids(&walk(&bob, "max_depth=1").await["rooms"]),
        [top.clone(), middle.clone()]
    );
    assert_eq!(
        room_ids(&walk(&alice, "suggested_only=true").await["rooms"]),
        [&top, &middle].map(Clone::clone)
    );
    let first = walk(&bob, "limit=2").await;
    let next = first["next_batch"].as_str().expect("more");
    let second = walk(&bob, &format!("limit=2&from={}", encode(next))).await;
    assert_eq!(room_ids(&second["rooms"]), [open.clone()]);
    assert!(second["next_batch"].is_null());
    for broken in [
        format!("max_depth=3&from={}", encode(next)),
        "limit=0".to_owned(),
        "from=x".to_owned(),
    ] {
        assert_eq!(
            refusal(&bob.http.get(&target(&broken)).await),
            refused(400, "M_INVALID_PARAM"),
            "{broken}"
        );
    }
    let summary = |room: &str| format!("/_matrix/client/v1/room_summary/{}", encode(room));
    let anybody = cluster.http();
    let shown = anybody.get(&summary(&open)).await.ok();
    assert_eq!(
        (&shown["name"], &shown["num_joined_members"], &shown["membership"]),
        (&json!("Open"), &json!(1), &Value::Null)
    );
    assert_eq!(alice.http.get(&summary(&hidden)).await.ok()["membership"], "join");
    assert_eq!(
        refusal(&bob.http.get(&summary(&hidden)).await),
        refused(404, "M_NOT_FOUND")
    );
    assert_eq!(
        bob.http
            .get(&format!("/_matrix/client/v1/rooms/{}/hierarchy", encode(&hidden)))
            .await
            .status,
        403
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
