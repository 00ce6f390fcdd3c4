//! Events made to cost as much as events can: at the limits of size, number and depth. Each has to be done with in a time that is long for a slow
//! machine without optimization, and short for anything that grows faster than the event.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use plexus_core::{
    acl::ServerAcl,
    auth::{self, AuthError, PowerLevels},
    event::{ClientFormat, EventBody, EventError, Legacy, NewEvent, SigningKey, limits, sign},
    room_version::RoomVersion,
};
use ruma::{OwnedEventId, OwnedServerName, room_id, server_name, user_id};
use serde_json::{Value, json};

/// What one of the steps below may take.
const PATIENCE: Duration = Duration::from_secs(2);

#[track_caller]
fn in_time<T>(step: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let done = step();
    let took = started.elapsed();
    assert!(took < PATIENCE, "{took:?}");
    done
}

fn key() -> SigningKey {
    SigningKey::from_seed("1", &[7; 32]).expect("what this test makes is valid")
}

fn sealed(
    version: RoomVersion,
    (kind, state_key): (&str, Option<&str>),
    content: &Value,
    references: &[OwnedEventId],
) -> Result<EventBody, EventError> {
    let content = serde_json::value::to_raw_value(content).expect("what this test makes is valid");
    let is_unnamed = version == RoomVersion::V12 && kind == "m.room.create";
    let event = NewEvent {
        room_id: Some(room_id!("!r:example.org")).filter(|_| !is_unnamed),
        sender: user_id!("@alice:example.org"),
        kind,
        state_key,
        content: &content,
        prev_events: references,
        auth_events: &references[..references.len().min(limits::MAX_AUTH_EVENTS)],
        depth: 5,
        origin_server_ts: 1_700_000_000_000,
        redacts: None,
        legacy: Some(Legacy {
            localpart: "one",
            hashes: &|_| Some([1; 32]),
        }),
    };
    event.seal(version.rules(), &key(), server_name!("example.org"))
}

/// Takes the event the way it comes from another server and goes to everybody.
fn all_the_way(version: RoomVersion, event: &EventBody) {
    let rules = version.rules();
    let parsed = in_time(|| EventBody::parse(event.json().as_bytes(), rules)).expect("what this test makes is valid");
    let body = in_time(|| parsed.trust_internal_plane());
    assert_eq!(body, *event);
    let loaded = in_time(|| EventBody::load(event.event_id().to_owned(), rules, event.json().as_bytes().to_vec()));
    assert_eq!(loaded.expect("what this test makes is valid"), *event);
    let client = in_time(|| event.client_json(ClientFormat { with_room_id: true }, None));
    assert!(client.get().len() > event.content().len());
    assert_eq!(in_time(|| event.redacted(rules)).event_id(), event.event_id());
}

/// Three letters each, which differ.
fn words(count: usize) -> Vec<String> {
    let digit = |number: usize| {
        char::from_digit(u32::try_from(number % 36).expect("what this test makes is valid"), 36)
            .expect("what this test makes is valid")
    };
    let word = |number: usize| [number / 1_296, number / 36, number].map(digit).iter().collect();
    (0..count).map(word).collect()
}

#[test]
fn a_server_acl_of_10_000_entries() {
    for version in [RoomVersion::V1, RoomVersion::V12] {
        let content = json!({"allow": ["*"], "deny": words(10_000)});
        let event = in_time(|| sealed(version, ("m.room.server_acl", Some("")), &content, &[])).unwrap();
        all_the_way(version, &event);
        let acl = in_time(|| ServerAcl::read(event.content()));
        let servers: Vec<OwnedServerName> = words(10_000)
            .iter()
            .map(|word| word.as_str().try_into().unwrap())
            .collect();
        let verdicts = in_time(|| servers.iter().filter(|server| acl.allows(server)).count());
        assert_eq!(verdicts, 0);
        assert!(acl.allows(server_name!("example.org")));
    }
}

#[test]
fn a_server_acl_of_wildcards_only() {
    // As many as fit, and one that is as long as all of them.
    let many: Vec<_> = words(7_000).iter().map(|word| format!("*{word}*")).collect();
    let long = format!("{}b", "*a".repeat(30_000));
    let server = format!("{}.example", "a".repeat(240));
    for deny in [json!(many), json!([long])] {
        let content = json!({"allow": ["*"], "deny": deny});
        let event = sealed(RoomVersion::V11, ("m.room.server_acl", Some("")), &content, &[]).unwrap();
        all_the_way(RoomVersion::V11, &event);
        let acl = in_time(|| ServerAcl::read(event.content()));
        assert!(in_time(|| acl.allows(server.as_str().try_into().unwrap())));
    }
}

#[test]
fn power_levels_of_as_many_users_as_fit() {
    for version in [RoomVersion::V1, RoomVersion::V10, RoomVersion::V12] {
        let rules = version.rules();
        let create = sealed(
            version,
            ("m.room.create", Some("")),
            &json!({"creator": "@alice:example.org"}),
            &[],
        )
        .unwrap();
        let levels = |level: i64| {
            let users: Value = words(4_000)
                .iter()
                .map(|word| (format!("@{word}:b"), json!(level)))
                .collect();
            let mut content = json!({"users": users, "state_default": 0});
            if version < RoomVersion::V12 {
                content["users"]["@alice:example.org"] = json!(100);
            }
            let event = sealed(version, ("m.room.power_levels", Some("")), &content, &[]).unwrap();
            // All events of a test are of one room: that of version 12 has another name.
            in_room_of(version, &create, &event)
        };
        let (before, after) = (Arc::new(levels(1)), levels(2));
        let member = sealed(
            version,
            ("m.room.member", Some("@alice:example.org")),
            &json!({"membership": "join"}),
            &[],
        );
        let member = Arc::new(in_room_of(version, &create, &member.unwrap()));
        let state = |kind: &str, _: &str| match kind {
            "m.room.member" => Some(Arc::clone(&member)),
            "m.room.power_levels" => Some(Arc::clone(&before)),
            _ => None,
        };
        // Every one of 4,000 levels changes, and alice may.
        assert_eq!(
            in_time(|| auth::check(rules, &after, Some(&create), &state)),
            Ok(()),
            "{version}"
        );
        let read = PowerLevels::read(rules, &create, Some(&after));
        // Each is found by a walk over the text, which is as long as an event can be.
        let last: Vec<_> = words(4_000)
            .iter()
            .skip(3_900)
            .map(|word| format!("@{word}:b"))
            .collect();
        let found = in_time(|| last.iter().filter(|user| read.user_level(user).unwrap() == 2).count());
        assert_eq!(found, 100);
    }
}

/// The event in the room that the create event makes; its signature no longer fits.
fn in_room_of(version: RoomVersion, create: &EventBody, event: &EventBody) -> EventBody {
    let json = event.json().replace("!r:example.org", create.room_id().as_str());
    EventBody::load(event.event_id().to_owned(), version.rules(), json.into_bytes())
        .expect("what this test makes is valid")
}

#[test]
fn a_chain_of_1_000_changes_of_power() {
    for version in [RoomVersion::V1, RoomVersion::V12] {
        let rules = version.rules();
        let create = sealed(
            version,
            ("m.room.create", Some("")),
            &json!({"creator": "@alice:example.org"}),
            &[],
        )
        .unwrap();
        let member = sealed(
            version,
            ("m.room.member", Some("@alice:example.org")),
            &json!({"membership": "join"}),
            &[],
        );
        let member = Arc::new(in_room_of(version, &create, &member.unwrap()));
        let mut current = None;
        let started = Instant::now();
        for step in 0..1_000_i64 {
            let mut content = json!({"users": {"@bob:b": step}, "state_default": 0});
            if version < RoomVersion::V12 {
                content["users"]["@alice:example.org"] = json!(1_000);
            }
            let event = sealed(version, ("m.room.power_levels", Some("")), &content, &[]).unwrap();
            let event = in_room_of(version, &create, &event);
            let verdict = auth::check(rules, &event, Some(&create), &|kind, _| match kind {
                "m.room.member" => Some(Arc::clone(&member)),
                _ => current.clone(),
            });
            assert_eq!(verdict, Ok(()), "{version} {step}");
            current = Some(Arc::new(event));
        }
        assert!(started.elapsed() < PATIENCE * 10, "{:?}", started.elapsed());
    }
}

#[test]
fn a_third_party_invite_full_of_signatures_and_keys() {
    let version = RoomVersion::V11;
    let rules = version.rules();
    let create = sealed(version, ("m.room.create", Some("")), &json!({}), &[]).unwrap();
    let other = SigningKey::from_seed("1", &[8; 32]).unwrap().verify_key().to_base64();
    let keys: Vec<_> = (0..900).map(|_| json!({ "public_key": other })).collect();
    let announced = sealed(
        version,
        ("m.room.third_party_invite", Some("token")),
        &json!({ "public_keys": keys }),
        &[],
    )
    .unwrap();
    let announced = Arc::new(announced);
    let signed = json!({"mxid": "@bob:b", "token": "token"}).to_string();
    let signed = sign::sign_json(signed.as_bytes(), server_name!("id.example"), &key()).unwrap();
    let mut signed: Value = serde_json::from_str(&signed).unwrap();
    let signature = signed["signatures"]["id.example"]["ed25519:1"].clone();
    for word in words(500) {
        signed["signatures"]["id.example"][format!("ed25519:{word}")] = signature.clone();
    }
    let content = json!({"membership": "invite", "third_party_invite": {"signed": signed}});
    let invite = sealed(version, ("m.room.member", Some("@bob:b")), &content, &[]).unwrap();
    all_the_way(version, &invite);
    // 450,000 pairs do not fit; it ends long before they were all tried.
    let verdict = in_time(|| {
        auth::check(rules, &invite, Some(&create), &|kind, _| {
            (kind == "m.room.third_party_invite").then(|| Arc::clone(&announced))
        })
    });
    assert_eq!(verdict, Err(AuthError::InvalidThirdPartyInvite));
}

/// Content of one member.
#[derive(serde::Serialize)]
struct Content {
    a: Box<serde_json::value::RawValue>,
}

#[test]
fn content_as_deep_as_it_may_be_and_as_wide_as_it_fits() {
    let deep = format!("{}{}", "[".repeat(998), "]".repeat(998));
    let deep: Box<serde_json::value::RawValue> = serde_json::value::RawValue::from_string(deep).unwrap();
    let content = serde_json::value::to_raw_value(&Content { a: deep }).unwrap();
    for version in [RoomVersion::V1, RoomVersion::V12] {
        let new = NewEvent {
            room_id: Some(room_id!("!r:example.org")),
            sender: user_id!("@alice:example.org"),
            kind: "m.room.member",
            state_key: Some("@alice:example.org"),
            content: &content,
            prev_events: &[],
            auth_events: &[],
            depth: 5,
            origin_server_ts: 1,
            redacts: None,
            legacy: Some(Legacy {
                localpart: "one",
                hashes: &|_| Some([1; 32]),
            }),
        };
        let event = in_time(|| new.seal(version.rules(), &key(), server_name!("example.org"))).unwrap();
        all_the_way(version, &event);
        let wide: Value = words(6_500).into_iter().rev().map(|word| (word, json!([]))).collect();
        let event = in_time(|| sealed(version, ("m.room.power_levels", Some("")), &wide, &[])).unwrap();
        all_the_way(version, &event);
        let escapes = json!({"body": "\u{1}".repeat(10_000)});
        let event = in_time(|| sealed(version, ("m.room.message", None), &escapes, &[])).unwrap();
        all_the_way(version, &event);
    }
}

#[test]
fn as_many_references_as_there_may_be_each_as_long_as_it_may_be() {
    for version in [RoomVersion::V1, RoomVersion::V12] {
        let id = |number| format!("$e{number:03}{}:b", "x".repeat(limits::MAX_FIELD_BYTES - 7));
        let ids: Vec<OwnedEventId> = (0..limits::MAX_PREV_EVENTS)
            .map(|number| id(number).try_into().unwrap())
            .collect();
        assert_eq!(ids[0].as_str().len(), limits::MAX_FIELD_BYTES);
        let event = sealed(version, ("m.room.message", None), &json!({}), &ids).unwrap();
        all_the_way(version, &event);
        let mut more = ids;
        more.push("$one:more".try_into().unwrap());
        let refused = sealed(version, ("m.room.message", None), &json!({}), &more);
        let count = limits::MAX_PREV_EVENTS + 1;
        assert_eq!(
            refused,
            Err(EventError::TooManyReferences {
                field: "prev_events",
                count
            })
        );
    }
}
