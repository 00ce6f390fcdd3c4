//! Events that are not what they should be, among others that are.

use plexus_core::room_version::RoomVersion;
use plexus_testkit::dag::Attempt;
use plexus_tests::encode;
use serde_json::{Value, json};

use super::{SPLIT, Visited};

/// A PDU with something changed, not signed anew.
fn altered(pdu: &str, alter: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(pdu).expect("JSON");
    alter(&mut value);
    value.to_string()
}

#[test]
fn hostile_8_no_forged_event_comes_in_by_a_transaction() {
    SPLIT.run(async |cluster| {
        let mut room = Visited::new(&cluster, RoomVersion::V11).await;
        let forged = room.say("forged");
        let name = room.peer.name();
        let alter = |alter: fn(&mut Value)| altered(room.json(forged), alter);
        let signed = |signatures: Value| altered(room.json(forged), |event| event["signatures"] = signatures);
        let good: Value = serde_json::from_str(room.json(forged)).expect("JSON");
        let signature = good["signatures"][&name]["ed25519:1"].clone();
        let pdus = [
            signed(json!({})),
            signed(json!({&name: {"ed25519:1": "AAAA"}})),
            signed(json!({&name: {"ed25519:9": signature}})),
            signed(json!({"other.example": {"ed25519:1": signature}})),
            alter(|event| event["depth"] = json!(77)),
            alter(|event| event["sender"] = json!("@mallory:other.example")),
            alter(|event| event["type"] = json!("m.room.other")),
        ];
        for pdu in &pdus {
            let told = room.send_pdus(&[pdu]).await.ok();
            let told = told["pdus"].as_object().expect("results");
            assert!(
                told.values().all(|result| result["error"].is_string()),
                "{pdu}: {told:?}"
            );
            assert!(!told.is_empty(), "{pdu}");
        }
        // Altered content is as if it were redacted.
        let told = room
            .send_pdus(&[&alter(|event| event["content"]["body"] = json!("altered"))])
            .await
            .ok();
        assert_eq!(told["pdus"][room.id(forged)], json!({}));
        room.until_seen(forged).await;
        assert!(room.bodies().await.is_empty());
    });
}

#[test]
fn hostile_1_2_numbers_and_text_of_every_kind_spoil_only_their_event() {
    SPLIT.run(async |cluster| {
        let mut room = Visited::new(&cluster, RoomVersion::V11).await;
        let numbers = [
            "-9007199254740992",
            "9007199254740992",
            "9223372036854775807",
            "9223372036854775808",
            "1.0",
            "1e3",
            "-0",
            "-1",
            "123456789012345678901234567890",
            "\"7\"",
            "null",
            "{}",
        ];
        let spoiled: Vec<(&str, String)> = ["depth", "origin_server_ts"]
            .into_iter()
            .flat_map(|field| numbers.map(|number| (field, format!("\"{field}\":{number}"))))
            .chain([
                ("content", "\"content\":{\"n\":1.5}".to_owned()),
                ("content", "\"content\":{\"n\":9007199254740992}".to_owned()),
            ])
            .collect();
        for (count, (field, spoilt)) in spoiled.iter().enumerate() {
            let event = room.say(&format!("good {count}"));
            let good: Value = serde_json::from_str(room.json(event)).expect("JSON");
            let old = format!("\"{field}\":{}", good[field]);
            let bad = room.json(event).replace(&old, spoilt);
            assert_ne!(bad, room.json(event), "{spoilt}");
            let told = room.send_pdus(&[&bad, room.json(event)]).await.ok();
            let results = told["pdus"].as_object().expect("results");
            assert_eq!(results.get(&room.id(event)), Some(&json!({})), "{spoilt}: {told}");
            let others = results.iter().filter(|(id, _)| **id != room.id(event));
            for (_, result) in others {
                assert!(result["error"].is_string(), "{spoilt}: {told}");
            }
        }
        // The server still talks to others: what it has not heard is fetched.
        let last = room.room.dag.last();
        room.until_seen(last).await;
        assert_eq!(room.bodies().await.len(), spoiled.len());
    });
}

#[test]
fn hostile_2_what_is_no_json_is_refused_whole() {
    SPLIT.run(async |cluster| {
        let mut room = Visited::new(&cluster, RoomVersion::V6).await;
        let event = room.say("hello");
        let good = room.json(event).to_owned();
        for bad in [
            good.replace("\"hello\"", "NaN"),
            good.replace("\"hello\"", "Infinity"),
            good.replace("\"hello\"", "\"\u{1}\""),
            good.replace("\"hello\"", "01"),
            good.replace("hello", "\\ud800"),
            good.replace("\"hello\"", "{\"a\":1,\"a\":2}"),
            format!("\u{feff}{good}"),
            good[..good.len() - 1].to_owned(),
        ] {
            let answer = room.send_pdus(&[&bad]).await;
            assert!([400, 401].contains(&answer.status), "{bad}: {}", answer.text());
        }
        assert!(room.bodies().await.is_empty());
        // A NUL is JSON, and no text of a database has it.
        let nul = good.replace("hello", "\\u0000");
        room.send_pdus(&[&nul]).await.ok();
        room.send_well(&[event]).await;
        room.until_seen(event).await;
    });
}

#[test]
fn hostile_3_depth_of_content_is_no_reason_to_fail() {
    SPLIT.run(async |cluster| {
        for (version, depth) in [
            (RoomVersion::V11, 64),
            (RoomVersion::V11, 127),
            (RoomVersion::V5, 500),
            (RoomVersion::V11, 900),
        ] {
            let mut room = Visited::new(&cluster, version).await;
            let event = room.say("hello");
            let deep = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
            let bad = room.json(event).replace("\"hello\"", &deep);
            // Nobody has signed it: it is as if redacted, or refused, and nothing else happens.
            room.send_pdus(&[&bad]).await.ok();
            let more = room.say_after(&[3], "well");
            room.send_well(&[more]).await;
            room.until_seen(more).await;
        }
    });
}

fn odd() -> Value {
    json!({"a": [1, {"b": null}], "c": "\u{fffd}\u{1f4a9}", "": {}})
}

/// State whose content is not what its type should have.
fn odd_state() -> Vec<(&'static str, Value)> {
    vec![
        ("m.room.name", json!({"name": ["no", "name"]})),
        ("m.room.topic", json!({"topic": {"no": "topic"}})),
        ("m.room.avatar", json!({"url": 7, "info": []})),
        ("m.room.canonical_alias", json!({"alias": 7, "alt_aliases": "none"})),
        ("m.room.history_visibility", json!({"history_visibility": {}})),
        ("m.room.guest_access", json!({"guest_access": []})),
        ("m.room.encryption", json!({"algorithm": 7})),
        ("m.room.pinned_events", json!({"pinned": "all"})),
        (
            "m.room.server_acl",
            json!({"allow": ["*"], "deny": {"x": 1}, "allow_ip_literals": "yes"}),
        ),
        ("m.room.tombstone", json!({"replacement_room": 7, "body": []})),
        ("m.space.child", json!({"via": "x", "order": {}})),
        ("org.example.odd", odd()),
    ]
}

#[test]
fn hostile_6_what_is_oddly_shaped_spoils_no_answer() {
    SPLIT.run(async |cluster| {
        let mut room = Visited::new(&cluster, RoomVersion::V9).await;
        let alice = room.alice.clone();
        for (kind, content) in odd_state() {
            let last = room.room.dag.last();
            room.room.dag.add(&[last], &Attempt::state(&alice, kind, "", content));
        }
        let profile = json!({"membership": "join", "displayname": {"no": "name"}, "avatar_url": [7]});
        let last = room.room.dag.last();
        room.room
            .dag
            .add(&[last], &Attempt::state(&alice, "m.room.member", &alice, profile));
        for content in [
            json!({"body": 7, "msgtype": []}),
            json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": 7, "key": {}}}),
            json!({"m.relates_to": {"rel_type": "m.replace", "event_id": "$x"}, "m.new_content": 7}),
            json!({"m.relates_to": [], "m.mentions": {"user_ids": 7}}),
            odd(),
        ] {
            let attempt = Attempt {
                content,
                ..Attempt::message(&alice, "")
            };
            let last = room.room.dag.last();
            room.room.dag.add(&[last], &attempt);
        }
        let first = 5;
        let last = room.room.dag.last();
        assert!(room.room.dag.events[first..].iter().all(|event| !event.is_rejected));
        room.send_well(&(first..=last).collect::<Vec<_>>()).await;
        room.until_seen(last).await;
        let id = encode(&room.room.room());
        let v3 = format!("/_matrix/client/v3/rooms/{id}");
        let event = encode(&room.id(last));
        for target in [
            "/_matrix/client/v3/sync".to_owned(),
            format!("{v3}/messages?dir=b&limit=100"),
            format!("{v3}/messages?dir=f&limit=100"),
            format!("{v3}/state"),
            format!("{v3}/members"),
            format!("{v3}/joined_members"),
            format!("{v3}/initialSync"),
            format!("{v3}/context/{event}?limit=100"),
            format!("{v3}/aliases"),
            format!("/_matrix/client/v1/rooms/{id}/hierarchy"),
            format!("/_matrix/client/v1/rooms/{id}/threads"),
            format!("/_matrix/client/v1/rooms/{id}/relations/{event}"),
            "/_matrix/client/v3/publicRooms".to_owned(),
            "/_matrix/client/v3/notifications".to_owned(),
        ] {
            let answer = room.dave.http.get(&target).await;
            assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        }
        room.dave.say(&room.room.room(), "still here").await;
    });
}

#[test]
fn hostile_7_what_the_rules_forbid_has_no_effect_and_holds_up_nothing() {
    SPLIT.run(async |cluster| {
        let mut room = Visited::new(&cluster, RoomVersion::V11).await;
        let mallory = room.peer.user("mallory");
        let base = room.room.dag.last();
        // He is not in the room; his power levels are worth nothing, nor is what rests on them.
        let levels = json!({"users": {&mallory: 100}});
        let seized = room
            .room
            .dag
            .add(&[base], &Attempt::state(&mallory, "m.room.power_levels", "", levels));
        let rests = room
            .room
            .dag
            .add_with_auth(&[seized], &[0, seized], &Attempt::message(&mallory, "obey"));
        let dag = &room.room.dag;
        assert!(dag.events[seized].is_rejected && dag.events[rests].is_rejected);
        // They have their places; nobody is told that they are worth nothing.
        room.send_well(&[seized, rests]).await;
        // What follows what was rejected is judged by itself.
        let after = room
            .room
            .dag
            .add(&[rests], &Attempt::message(&room.alice, "never mind"));
        room.send_well(&[after]).await;
        room.until_seen(after).await;
        assert!(!room.sees(seized).await && !room.sees(rests).await);
        assert_eq!(room.bodies().await, ["never mind"]);
        let levels = format!(
            "/_matrix/client/v3/rooms/{}/state/m.room.power_levels",
            encode(&room.room.room())
        );
        let levels = room.dave.http.get(&levels).await.ok();
        assert!(levels["users"].get(&mallory).is_none(), "{levels}");
    });
}
