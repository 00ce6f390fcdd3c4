//! Events that are not what they should be, among others that are.

use plexus_core::room_version::RoomVersion;
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
                ("content", "\"content\":7".to_owned()),
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
