use ruma::{ServerName, owned_event_id, room_id, server_name, user_id};
use serde_json::{Value, json};

use super::*;
use crate::room_version::RoomVersion;

mod bounds;
mod oracle;
mod spec;

fn key() -> SigningKey {
    SigningKey::from_seed("1", &[7; 32]).unwrap()
}

fn public_key() -> PublicKey {
    PublicKey {
        key: key().verify_key(),
        valid_until_ts: u64::MAX,
        expired_ts: None,
    }
}

fn message(rules: &RoomVersionRules, content: &str) -> Result<EventBody, EventError> {
    let content = raw(content.to_owned());
    NewEvent {
        room_id: Some(room_id!("!r:example.org")),
        sender: user_id!("@alice:example.org"),
        kind: "m.room.message",
        state_key: None,
        content: &content,
        prev_events: &[owned_event_id!("$prev:example.org")],
        auth_events: &[owned_event_id!("$auth:example.org")],
        depth: 5,
        origin_server_ts: 1_700_000_000_000,
        redacts: None,
        legacy: Some(Legacy {
            localpart: "one",
            hashes: &|_| Some([1; 32]),
        }),
    }
    .seal(rules, &key(), server_name!("example.org"))
}

#[test]
fn what_is_sealed_parses_verifies_and_loads_as_the_same_event() {
    for version in RoomVersion::ALL {
        let rules = version.rules();
        let sealed = message(rules, r#"{"msgtype":"m.text", "body":"hé\u0000\n\"" }"#).unwrap();
        let parsed = EventBody::parse(sealed.json().as_bytes(), rules).unwrap();
        assert!(!parsed.was_redacted(), "{version}");
        assert_eq!(
            parsed.required_servers().collect::<Vec<_>>(),
            [server_name!("example.org")]
        );
        let verified = parsed
            .verify(&|_, key_id| (key_id == "ed25519:1").then(public_key))
            .unwrap();
        assert_eq!(verified, sealed, "{version}");
        let loaded = EventBody::load(sealed.event_id().to_owned(), rules, sealed.json().as_bytes().to_vec());
        assert_eq!(loaded.unwrap(), sealed, "{version}");
    }
}

fn load_value(event: &EventBody) -> Value {
    serde_json::from_str(event.json()).unwrap()
}

/// The event with some of its JSON replaced, hashed and signed again.
fn resigned(event: &EventBody, rules: &RoomVersionRules, change: impl FnOnce(&mut Value)) -> String {
    let mut value = load_value(event);
    change(&mut value);
    value["hashes"] = json!({});
    value["signatures"] = json!({});
    let unsigned = canonical::canonical_object(value.to_string().as_bytes(), rules.numbers).unwrap();
    let hash = hash::encode_base64(&hash::content_hash(&unsigned));
    let hashed = sign::with_member(&unsigned, "hashes", &format!(r#"{{"sha256":"{hash}"}}"#));
    let kind = value["type"].as_str().unwrap_or_default();
    let signature = key().sign(&redact::signed_form(&hashed, kind, rules.redaction));
    sign::add_signature(&hashed, server_name!("example.org"), "ed25519:1", &signature)
}

fn verify(parsed: ParsedEvent) -> Result<EventBody, EventError> {
    parsed.verify(&|_, key_id| (key_id == "ed25519:1").then(public_key))
}

#[test]
fn changed_content_leaves_the_redacted_form() {
    for version in RoomVersion::ALL {
        let rules = version.rules();
        let sealed = message(rules, r#"{"body":"true"}"#).unwrap();
        let forged = sealed.json().replace(r#""body":"true""#, r#""body":"false""#);
        let parsed = EventBody::parse(forged.as_bytes(), rules).unwrap();
        assert!(parsed.was_redacted());
        let body = verify(parsed).unwrap();
        assert_eq!(body, sealed.redacted(rules));
        assert_eq!((body.content(), body.event_id()), ("{}", sealed.event_id()));
    }
}

#[test]
fn changed_essentials_are_another_event_or_a_forged_one() {
    for version in RoomVersion::ALL {
        let rules = version.rules();
        let sealed = message(rules, "{}").unwrap();
        let forged = sealed.json().replace(r#""depth":5"#, r#""depth":6"#);
        let parsed = EventBody::parse(forged.as_bytes(), rules).unwrap();
        let error = SignatureError::Mismatch("example.org".to_owned());
        assert_eq!(verify(parsed), Err(error.into()), "{version}");
    }
}

#[test]
fn keys_count_only_while_they_are_valid() {
    let sent = 1_700_000_000_000;
    for version in RoomVersion::ALL {
        let rules = version.rules();
        let sealed = message(rules, "{}").unwrap();
        let verify_with = |valid_until_ts, expired_ts| {
            let key = PublicKey {
                key: key().verify_key(),
                valid_until_ts,
                expired_ts,
            };
            EventBody::parse(sealed.json().as_bytes(), rules)
                .unwrap()
                .verify(&|_, _| Some(key))
                .is_ok()
        };
        assert!(verify_with(sent, None));
        assert_eq!(verify_with(sent - 1, None), !rules.enforce_key_validity);
        assert!(verify_with(0, Some(sent)));
        assert!(!verify_with(u64::MAX, Some(sent - 1)));
        let unknown = EventBody::parse(sealed.json().as_bytes(), rules)
            .unwrap()
            .verify(&|_, _| None);
        assert_eq!(
            unknown,
            Err(SignatureError::NoKnownKey("example.org".to_owned()).into())
        );
    }
}

#[test]
fn signatures_needed_by_kind_and_version() {
    let required = |version: RoomVersion, kind: &str, content: Value| {
        let sealed = message(version.rules(), "{}").unwrap();
        let json = resigned(&sealed, version.rules(), |event| {
            event["type"] = json!(kind);
            event["content"] = content;
            if version.rules().signatures.event_id_server {
                event["event_id"] = json!("$x:maker.example");
            }
        });
        let parsed = EventBody::parse(json.as_bytes(), version.rules()).unwrap();
        parsed.required_servers().map(ToString::to_string).collect::<Vec<_>>()
    };
    let authorised = json!({"membership": "join", "join_authorised_via_users_server": "@b:voucher.example"});
    let third_party = json!({"membership": "invite", "third_party_invite": {"signed": {}}});
    for version in RoomVersion::ALL {
        let maker = matches!(version, RoomVersion::V1 | RoomVersion::V2).then_some("maker.example");
        let voucher = (version >= RoomVersion::V8).then_some("voucher.example");
        let expected: Vec<_> = Some("example.org").into_iter().chain(maker).collect();
        assert_eq!(
            required(version, "m.room.message", authorised.clone()),
            expected,
            "{version}"
        );
        let expected: Vec<_> = expected.into_iter().chain(voucher).collect();
        assert_eq!(
            required(version, "m.room.member", authorised.clone()),
            expected,
            "{version}"
        );
        let expected: Vec<_> = maker.into_iter().collect();
        assert_eq!(
            required(version, "m.room.member", third_party.clone()),
            expected,
            "{version}"
        );
    }
}

#[test]
fn a_resident_server_adds_its_signature() {
    let rules = RoomVersion::V11.rules();
    let voucher = server_name!("voucher.example");
    let sealed = message(rules, "{}").unwrap();
    let json = resigned(&sealed, rules, |event| {
        event["type"] = json!("m.room.member");
        event["content"] = json!({"membership": "join", "join_authorised_via_users_server": "@b:voucher.example"});
    });
    let mut parsed = EventBody::parse(json.as_bytes(), rules).unwrap();
    let missing = SignatureError::Missing(voucher.to_string());
    assert_eq!(verify(parsed.clone()), Err(missing.into()));
    parsed.cosign(voucher, &key()).unwrap();
    let servers: Vec<_> = parsed.key_ids().into_iter().map(|(server, _)| server).collect();
    assert_eq!(
        servers,
        [server_name!("example.org"), voucher].map(ServerName::to_owned)
    );
    let body = verify(parsed).unwrap();
    assert_eq!(
        EventBody::parse(body.json().as_bytes(), rules).unwrap().event_id(),
        body.event_id()
    );
}

#[test]
fn a_room_of_version_12_is_named_by_its_create_event() {
    let content = raw(r#"{"room_version":"12"}"#.to_owned());
    let new = NewEvent {
        room_id: None,
        sender: user_id!("@alice:example.org"),
        kind: "m.room.create",
        state_key: Some(""),
        content: &content,
        prev_events: &[],
        auth_events: &[],
        depth: 1,
        origin_server_ts: 1,
        redacts: None,
        legacy: None,
    };
    let seal = |new: NewEvent<'_>, version: RoomVersion| new.seal(version.rules(), &key(), server_name!("example.org"));
    let create = seal(new, RoomVersion::V12).unwrap();
    assert_eq!(create.room_id().as_str()[1..], create.event_id().as_str()[1..]);
    assert_eq!(load_value(&create).get("room_id"), None);
    let parsed = EventBody::parse(create.json().as_bytes(), RoomVersion::V12.rules()).unwrap();
    assert_eq!(verify(parsed).unwrap(), create);

    assert_eq!(seal(new, RoomVersion::V11), Err(EventError::Missing("room_id")));
    let named = NewEvent {
        room_id: Some(room_id!("!r:example.org")),
        ..new
    };
    assert_eq!(seal(named, RoomVersion::V12), Err(EventError::Invalid("room_id")));
    assert!(seal(named, RoomVersion::V11).is_ok());
}

#[test]
fn versions_1_and_2_write_ids_and_hashes() {
    let sealed = message(RoomVersion::V1.rules(), "{}").unwrap();
    let value = load_value(&sealed);
    let hash = hash::encode_base64(&[1; 32]);
    assert_eq!(value["event_id"], "$one:example.org");
    assert_eq!(value["prev_events"], json!([["$prev:example.org", {"sha256": hash}]]));
    assert_eq!(sealed.prev_events(), [owned_event_id!("$prev:example.org")]);
}

#[test]
fn redactions_name_their_target_where_each_version_and_clients_look() {
    let target = owned_event_id!("$target");
    let content = raw(r#"{"reason":"spam"}"#.to_owned());
    for version in RoomVersion::ALL {
        let rules = version.rules();
        let redaction = NewEvent {
            room_id: Some(room_id!("!r:example.org")),
            sender: user_id!("@alice:example.org"),
            kind: "m.room.redaction",
            state_key: None,
            content: &content,
            prev_events: &[],
            auth_events: &[],
            depth: 1,
            origin_server_ts: 1,
            redacts: Some(&target),
            legacy: Some(Legacy {
                localpart: "one",
                hashes: &|_| None,
            }),
        };
        let redaction = redaction.seal(rules, &key(), server_name!("example.org")).unwrap();
        let value = load_value(&redaction);
        let in_content = version >= RoomVersion::V11;
        assert_eq!(value["content"].get("redacts").is_some(), in_content, "{version}");
        assert_eq!(value.get("redacts").is_some(), !in_content, "{version}");
        assert_eq!(
            verify(EventBody::parse(redaction.json().as_bytes(), rules).unwrap()).unwrap(),
            redaction
        );

        let client = redaction.client_json(ClientFormat { with_room_id: true }, None);
        let client: Value = serde_json::from_str(client.get()).unwrap();
        let expected = json!({
            "content": {"reason": "spam", "redacts": "$target"}, "event_id": redaction.event_id(),
            "origin_server_ts": 1, "redacts": "$target", "room_id": "!r:example.org",
            "sender": "@alice:example.org", "type": "m.room.redaction",
        });
        assert_eq!(client, expected, "{version}");
    }
}

#[test]
fn clients_see_nothing_but_what_is_theirs() {
    let rules = RoomVersion::V10.rules();
    let sealed = message(rules, "{}").unwrap();
    let json = resigned(&sealed, rules, |event| {
        event["content"] = json!({"name": "a \"b\""});
        event["type"] = json!("m.room.name");
        event["state_key"] = json!("\u{1}é");
        event["extra"] = json!({"event_id": "$forged"});
        event["event_id"] = json!("$forged");
    });
    let event = verify(EventBody::parse(json.as_bytes(), rules).unwrap()).unwrap();
    let unsigned = raw(r#"{"age":1}"#.to_owned());
    let client = event.client_json(ClientFormat { with_room_id: false }, Some(&unsigned));
    let expected = json!({
        "content": {"name": "a \"b\""}, "event_id": event.event_id(), "origin_server_ts": 1_700_000_000_000_u64,
        "sender": "@alice:example.org", "state_key": "\u{1}é", "type": "m.room.name", "unsigned": {"age": 1},
    });
    assert_eq!(serde_json::from_str::<Value>(client.get()).unwrap(), expected);
    assert_ne!(event.event_id().as_str(), "$forged");
    let stripped: Value = serde_json::from_str(event.stripped_json().get()).unwrap();
    let keys: Vec<_> = stripped.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["content", "sender", "state_key", "type"]);
}

#[test]
fn content_is_read_as_asked() {
    #[derive(serde::Deserialize)]
    struct Member {
        displayname: String,
    }
    let rules = RoomVersion::V11.rules();
    let sealed = message(rules, "{}").unwrap();
    let json = resigned(&sealed, rules, |event| {
        event["type"] = json!("m.room.member");
        event["content"] = json!({"membership": "knock", "displayname": "é"});
    });
    let event = verify(EventBody::parse(json.as_bytes(), rules).unwrap()).unwrap();
    assert_eq!(event.content_as::<Member>().unwrap().displayname, "é");
    assert_eq!(event.membership(), Some(Membership::Knock));
    assert_eq!(sealed.membership(), None);
}

#[test]
fn a_third_party_invite_that_is_cut_away_does_not_stand_in_for_a_signature() {
    for version in RoomVersion::ALL {
        let rules = version.rules();
        let sealed = message(rules, "{}").unwrap();
        let invite = |event: &mut Value| {
            event["type"] = json!("m.room.member");
            event["state_key"] = json!("@mallory:evil.example");
            event["content"] = json!({"membership": "invite"});
        };
        // Whole, the content says that the sender's server need not sign; but it does not match its hash.
        let mut forged: Value = serde_json::from_str(&resigned(&sealed, rules, invite)).unwrap();
        forged["content"]["third_party_invite"] = json!({"signed": {}});
        forged["signatures"] = json!({});
        let parsed = EventBody::parse(forged.to_string().as_bytes(), rules).unwrap();
        assert!(parsed.was_redacted());
        let is_kept = rules.redaction.keep_third_party_invite_signed;
        let needs_sender = parsed.required_servers().any(|server| server == "example.org");
        assert_eq!(needs_sender, !is_kept || rules.signatures.event_id_server, "{version}");
        assert_eq!(verify(parsed).is_err(), !is_kept, "{version}");
    }
}
