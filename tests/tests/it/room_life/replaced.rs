//! Rooms are replaced by rooms of another version.

use std::{collections::BTreeMap, sync::Arc};

use plexus_tests::{Cluster, User, encode, fresh_name};
use serde_json::{Value, json};

use super::{V3, alias_target, people, refusal, server_of, set_alias, set_state, state};

pub(super) async fn a_room_is_replaced_with_all_that_matters(cluster: Arc<Cluster>) {
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

pub(super) async fn a_replacement_needs_power_and_a_known_version(cluster: Arc<Cluster>) {
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
