//! What the specification says about the form of events, written down once more by hand, over every version.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{key, message, resigned, verify};
use crate::{
    event::{EventBody, EventError, JsonError, SignatureError, hash, limits, redact},
    room_version::RoomVersion,
};

/// Whether the version is one of those from `first` to `last`.
fn of(version: RoomVersion, first: usize, last: usize) -> bool {
    let number: usize = version.as_str().parse().unwrap();
    (first..=last).contains(&number)
}

/// The keys at the top level that outlive a redaction, and the versions in which they do.
const KEPT: [(&str, usize, usize); 20] = [
    ("event_id", 1, 12),
    ("type", 1, 12),
    ("room_id", 1, 12),
    ("sender", 1, 12),
    ("state_key", 1, 12),
    ("content", 1, 12),
    ("hashes", 1, 12),
    ("signatures", 1, 12),
    ("depth", 1, 12),
    ("prev_events", 1, 12),
    ("auth_events", 1, 12),
    ("origin_server_ts", 1, 12),
    ("prev_state", 1, 10),
    ("origin", 1, 10),
    ("membership", 1, 10),
    // Never kept.
    ("redacts", 0, 0),
    ("unsigned", 0, 0),
    ("age_ts", 0, 0),
    ("replaces_state", 0, 0),
    ("org.example.other", 0, 0),
];

/// The keys of content that outlive a redaction, by type of event, and the versions in which they do.
const KEPT_CONTENT: [(&str, &str, usize, usize); 27] = [
    ("m.room.member", "membership", 1, 12),
    ("m.room.member", "join_authorised_via_users_server", 9, 12),
    ("m.room.member", "displayname", 0, 0),
    ("m.room.create", "creator", 1, 12),
    ("m.room.create", "room_version", 11, 12),
    ("m.room.create", "m.federate", 11, 12),
    ("m.room.create", "org.example.other", 11, 12),
    ("m.room.join_rules", "join_rule", 1, 12),
    ("m.room.join_rules", "allow", 8, 12),
    ("m.room.join_rules", "org.example.other", 0, 0),
    ("m.room.power_levels", "ban", 1, 12),
    ("m.room.power_levels", "events", 1, 12),
    ("m.room.power_levels", "events_default", 1, 12),
    ("m.room.power_levels", "invite", 11, 12),
    ("m.room.power_levels", "kick", 1, 12),
    ("m.room.power_levels", "redact", 1, 12),
    ("m.room.power_levels", "state_default", 1, 12),
    ("m.room.power_levels", "users", 1, 12),
    ("m.room.power_levels", "users_default", 1, 12),
    ("m.room.power_levels", "notifications", 0, 0),
    ("m.room.aliases", "aliases", 1, 5),
    ("m.room.history_visibility", "history_visibility", 1, 12),
    ("m.room.redaction", "redacts", 11, 12),
    ("m.room.redaction", "reason", 0, 0),
    ("m.room.message", "body", 0, 0),
    ("m.room.message", "membership", 0, 0),
    ("m.room.topic", "topic", 0, 0),
];

fn redacted(version: RoomVersion, event: &Value) -> Value {
    let kind = event["type"].as_str().unwrap();
    // `Value` keeps its keys in order, so this is canonical.
    let redacted = redact::redact(&event.to_string(), kind, version.rules().redaction);
    serde_json::from_slice(&redacted).unwrap()
}

fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_redacted_event_keeps_the_keys_that_its_version_names() {
    for version in RoomVersion::ALL {
        let mut event: Value = KEPT
            .iter()
            .map(|(key, ..)| ((*key).to_owned(), json!({"x": 1})))
            .collect();
        event["type"] = json!("m.room.message");
        let redacted = redacted(version, &event);
        let expected = KEPT
            .iter()
            .filter(|(_, first, last)| of(version, *first, *last))
            .map(|(key, ..)| *key);
        assert_eq!(keys(&redacted), expected.collect(), "{version}");
        for (key, ..) in KEPT
            .iter()
            .filter(|(key, ..)| *key != "content" && redacted.get(key).is_some())
        {
            assert_eq!(redacted[key], event[key], "{version} {key}");
        }
    }
}

#[test]
fn redacted_content_keeps_the_keys_that_its_version_and_type_name() {
    let every_key: BTreeSet<_> = KEPT_CONTENT.iter().map(|(_, key, ..)| *key).collect();
    let kinds: BTreeSet<_> = KEPT_CONTENT.iter().map(|(kind, ..)| *kind).collect();
    for version in RoomVersion::ALL {
        for kind in &kinds {
            let content: Value = every_key.iter().map(|key| ((*key).to_owned(), json!([key]))).collect();
            let redacted = redacted(version, &json!({"type": kind, "content": content}));
            let keeps_all = *kind == "m.room.create" && of(version, 11, 12);
            let expected = every_key.iter().copied().filter(|key| {
                let named = |(k, name, first, last): &(&str, &str, usize, usize)| {
                    k == kind && name == key && of(version, *first, *last)
                };
                keeps_all || KEPT_CONTENT.iter().any(named)
            });
            assert_eq!(keys(&redacted["content"]), expected.collect(), "{version} {kind}");
            for (key, value) in redacted["content"].as_object().unwrap() {
                assert_eq!(*value, content[key], "{version} {kind} {key}");
            }
        }
    }
}

#[test]
fn since_version_11_redaction_keeps_what_was_signed_of_a_third_party_invite() {
    for version in RoomVersion::ALL {
        for (invite, kept) in [
            (
                json!({"display_name": "x", "signed": {"token": "t"}}),
                Some(json!({"signed": {"token": "t"}})),
            ),
            (json!({"signed": 1}), Some(json!({"signed": 1}))),
            (json!({"display_name": "x"}), Some(json!({}))),
            // What is no object has no `signed`.
            (json!("signed"), None),
            (json!(["signed"]), None),
            (json!(null), None),
        ] {
            let event =
                json!({"type": "m.room.member", "content": {"membership": "invite", "third_party_invite": invite}});
            let kept = kept.filter(|_| of(version, 11, 12));
            assert_eq!(
                redacted(version, &event)["content"].get("third_party_invite"),
                kept.as_ref(),
                "{version} {invite}"
            );
            // Of events of other types, nothing is.
            let event = json!({"type": "m.room.topic", "content": event["content"]});
            assert_eq!(redacted(version, &event)["content"], json!({}), "{version}");
        }
    }
}

#[test]
fn event_ids_are_assigned_or_hashes_in_the_base64_of_the_version() {
    let mut urls = [false; 2];
    for version in RoomVersion::ALL {
        let rules = version.rules();
        for number in 0..20 {
            let event = message(rules, &format!(r#"{{"n":{number}}}"#)).unwrap();
            let reference_hash = hash::sha256(&redact::signed_form(event.json(), event.kind(), rules.redaction));
            assert_eq!(event.reference_hash(rules), reference_hash);
            let expected = if of(version, 1, 2) {
                "one:example.org".to_owned()
            } else if of(version, 3, 3) {
                hash::encode_base64(&reference_hash)
            } else {
                hash::encode_url_safe_base64(&reference_hash)
            };
            assert_eq!(event.event_id().as_str(), format!("${expected}"), "{version}");
            let text: Value = serde_json::from_str(event.json()).unwrap();
            assert_eq!(text.get("event_id").is_some(), of(version, 1, 2), "{version}");
            urls[0] |= version == RoomVersion::V3 && expected.contains(['+', '/']);
            urls[1] |= version == RoomVersion::V4 && expected.contains(['-', '_']);
        }
    }
    assert_eq!(urls, [true; 2], "the two alphabets were told apart");
}

#[test]
fn each_version_has_the_keys_it_requires_and_those_only() {
    let always = [
        "auth_events",
        "content",
        "depth",
        "hashes",
        "origin_server_ts",
        "prev_events",
        "room_id",
        "sender",
        "signatures",
        "type",
    ];
    for version in RoomVersion::ALL {
        let rules = version.rules();
        let sealed = message(rules, "{}").unwrap();
        let text: Value = serde_json::from_str(sealed.json()).unwrap();
        let assigned = of(version, 1, 2).then_some("event_id");
        let required: BTreeSet<_> = always.into_iter().chain(assigned).collect();
        assert_eq!(keys(&text), required, "{version}");
        for field in &required {
            let mut event = text.clone();
            event.as_object_mut().unwrap().remove(*field);
            let error = EventBody::parse(event.to_string().as_bytes(), rules).unwrap_err();
            assert_eq!(error, EventError::Missing(field), "{version}");
        }
    }
}

#[test]
fn the_room_id_of_a_create_event_is_written_up_to_version_11() {
    for version in RoomVersion::ALL {
        let rules = version.rules();
        let sealed = message(rules, "{}").unwrap();
        let create = resigned(&sealed, rules, |event| {
            event["type"] = json!("m.room.create");
            event.as_object_mut().unwrap().remove("room_id");
        });
        let parsed = EventBody::parse(create.as_bytes(), rules);
        if of(version, 1, 11) {
            assert_eq!(parsed.unwrap_err(), EventError::Missing("room_id"), "{version}");
        } else {
            let parsed = parsed.unwrap();
            assert_eq!(parsed.room_id().as_str()[1..], parsed.event_id().as_str()[1..]);
            assert_eq!(parsed.room_id().server_name(), None);
        }
    }
}

#[test]
fn json_is_strict_since_version_6() {
    for version in RoomVersion::ALL {
        let rules = version.rules();
        let strict = of(version, 6, 12);
        for (number, written) in [
            ("1.5", "1.5"),
            ("1e3", "1000.0"),
            ("9007199254740992", "9007199254740992"),
            ("-0.0", "-0.0"),
        ] {
            let sealed = message(rules, &format!(r#"{{"n":{number}}}"#));
            match sealed {
                Ok(event) if !strict => assert_eq!(event.content(), format!(r#"{{"n":{written}}}"#), "{version}"),
                Err(EventError::Json(JsonError::Number(_))) if strict => {}
                other => panic!("{version} {number}: {other:?}"),
            }
        }
        // In every version, text is UTF-8 without halves of surrogate pairs, and no key comes twice.
        for text in [r#"{"a":"\ud800"}"#, r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#] {
            assert!(
                matches!(message(rules, text), Err(EventError::Json(_))),
                "{version} {text}"
            );
        }
    }
}

#[test]
fn the_largest_depth_is_that_of_the_versions_integers() {
    for version in RoomVersion::ALL {
        let largest = if of(version, 6, 12) {
            (1_i64 << 53) - 1
        } else {
            i64::MAX
        };
        assert_eq!(limits::max_depth(version.rules().numbers), largest, "{version}");
    }
}

#[test]
fn redactions_name_their_target_in_content_since_version_11() {
    for version in RoomVersion::ALL {
        let rules = version.rules();
        let sealed = message(rules, "{}").unwrap();
        let redacts = |top: Value, content: Value| {
            let json = resigned(&sealed, rules, |event| {
                event["type"] = json!("m.room.redaction");
                event["redacts"] = top;
                event["content"] = json!({ "redacts": content });
            });
            let event = verify(EventBody::parse(json.as_bytes(), rules).unwrap()).unwrap();
            event.redacts().map(|id| id.as_str().to_owned())
        };
        let expected = if of(version, 11, 12) { "$content" } else { "$top" };
        assert_eq!(
            redacts(json!("$top"), json!("$content")).as_deref(),
            Some(expected),
            "{version}"
        );
        let nonsense = [json!(1), json!("no id"), json!(null), json!(["$x"])];
        for nonsense in nonsense {
            assert_eq!(redacts(nonsense.clone(), nonsense), None, "{version}");
        }
    }
}

#[test]
fn the_signatures_of_known_keys_must_all_fit() {
    for version in RoomVersion::ALL {
        let rules = version.rules();
        let sealed = message(rules, "{}").unwrap();
        let with = |key_id: &str, signature: Value| {
            let mut event: Value = serde_json::from_str(sealed.json()).unwrap();
            event["signatures"]["example.org"][key_id] = signature;
            let parsed = EventBody::parse(event.to_string().as_bytes(), rules).unwrap();
            parsed
                .verify(&|_, key_id| (key_id != "ed25519:unknown").then(super::public_key))
                .map(|_| ())
        };
        let forged = json!(hash::encode_base64(&[1; 64]));
        let mismatch = Err(SignatureError::Mismatch("example.org".to_owned()).into());
        // Keys nobody knows, and other algorithms, are skipped.
        assert_eq!(with("ed25519:unknown", forged.clone()), Ok(()), "{version}");
        assert_eq!(with("rsa:1", forged.clone()), Ok(()), "{version}");
        assert_eq!(with("ed25519:2", forged), mismatch, "{version}");
        assert_eq!(key().key_id(), "ed25519:1");
    }
}
