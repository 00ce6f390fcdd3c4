//! What is too large, too small, too deep or no JSON at all, on the way in and on the way out.

use serde_json::{Value, json};

use super::{key, message, resigned};
use crate::{
    event::{ClientFormat, EventBody, EventError, JsonError, Legacy, NewEvent, limits, raw},
    room_version::{Numbers, RoomVersion},
};
use ruma::{room_id, server_name, user_id};

/// The canonical text of an event with `text` in place of the field's value, or of its content's `n`.
fn with_number(version: RoomVersion, field: &str, text: &str) -> String {
    let sealed = message(version.rules(), r#"{"n":77777}"#).unwrap();
    let json = resigned(&sealed, version.rules(), |event| match field {
        "content" => {}
        field => event[field] = json!(77777),
    });
    json.replace("77777", text)
}

#[test]
fn integers_at_the_edge_have_the_same_verdict_in_every_version_of_a_kind() {
    // As depth in lenient and strict versions, as time, as content.
    let cases = [
        ("0", [true, true], [true, true], [true, true]),
        ("-0", [true, true], [true, true], [true, true]),
        ("-1", [false, false], [true, true], [true, true]),
        ("-9007199254740991", [false, false], [true, true], [true, true]),
        ("-9007199254740992", [false, false], [true, false], [true, false]),
        ("9007199254740991", [true, true], [true, true], [true, true]),
        ("9007199254740992", [true, false], [true, false], [true, false]),
        ("9223372036854775807", [true, false], [true, false], [true, false]),
        ("9223372036854775808", [false, false], [false, false], [true, false]),
        ("1.0", [false, false], [false, false], [true, false]),
        ("1e3", [false, false], [false, false], [true, false]),
        ("1e999", [false, false], [false, false], [false, false]),
        ("NaN", [false, false], [false, false], [false, false]),
        ("Infinity", [false, false], [false, false], [false, false]),
    ];
    for version in RoomVersion::ALL {
        let kind = usize::from(version.rules().numbers == Numbers::Strict);
        for (text, depth, time, content) in cases {
            for (field, expected) in [("depth", depth), ("origin_server_ts", time), ("content", content)] {
                let json = with_number(version, field, text);
                let parsed = EventBody::parse(json.as_bytes(), version.rules());
                assert_eq!(parsed.is_ok(), expected[kind], "{version} {field} {text}: {parsed:?}");
            }
        }
    }
}

#[test]
fn our_own_events_obey_the_same_bounds() {
    for version in RoomVersion::ALL {
        let rules = version.rules();
        let is_lenient = rules.numbers == Numbers::Lenient;
        for (number, is_allowed) in [
            ("9007199254740991", true),
            ("9007199254740992", is_lenient),
            ("1.5", is_lenient),
            ("1e999", false),
        ] {
            let sealed = message(rules, &format!(r#"{{"n":{number}}}"#).replace("1e999", "1e400"));
            assert_eq!(sealed.is_ok(), is_allowed, "{version} {number}");
        }
        let content = raw("{}".to_owned());
        let at_limit = NewEvent {
            room_id: Some(room_id!("!r:example.org")),
            sender: user_id!("@alice:example.org"),
            kind: "m.room.message",
            state_key: None,
            content: &content,
            prev_events: &[],
            auth_events: &[],
            depth: i64::MAX,
            origin_server_ts: 1,
            redacts: None,
            legacy: Some(Legacy {
                localpart: "one",
                hashes: &|_| None,
            }),
        };
        let sealed = at_limit.seal(rules, &key(), server_name!("example.org")).unwrap();
        assert_eq!(sealed.depth(), limits::max_depth(rules.numbers));
        assert!(EventBody::parse(sealed.json().as_bytes(), rules).is_ok());
    }
}

#[test]
fn the_largest_event_is_as_large_as_the_specification_says() {
    for version in RoomVersion::ALL {
        let rules = version.rules();
        let sealed = |length: usize| message(rules, &format!(r#"{{"body":"{}"}}"#, "x".repeat(length)));
        let rest = sealed(0).unwrap().json().len();
        for bytes in [limits::MAX_EVENT_BYTES - 1, limits::MAX_EVENT_BYTES] {
            let event = sealed(bytes - rest).unwrap();
            assert_eq!(event.json().len(), bytes);
            // White space and `unsigned` do not count.
            let padded = event.json().replacen('{', r#"{ "unsigned": {"age": 1}, "#, 1);
            assert!(EventBody::parse(padded.as_bytes(), rules).is_ok(), "{version} {bytes}");
        }
        let bytes = limits::MAX_EVENT_BYTES + 1;
        assert_eq!(sealed(bytes - rest), Err(EventError::TooLarge { bytes }));
        let event = sealed(bytes - rest - 1).unwrap();
        let json = event.json().replace(r#""body":""#, r#""body":"x"#);
        assert_eq!(
            EventBody::parse(json.as_bytes(), rules).unwrap_err(),
            EventError::TooLarge { bytes }
        );
    }
}

#[test]
fn fields_are_measured_in_bytes() {
    let user = |bytes: usize| format!("@{}:example.org", "é".repeat((bytes - 13) / 2) + ["x", ""][bytes % 2]);
    let plain = |bytes: usize| "é".repeat(bytes / 2) + ["", "x"][bytes % 2];
    for version in RoomVersion::ALL {
        let rules = version.rules();
        let sealed = message(rules, "{}").unwrap();
        for (field, value) in [
            ("type", &plain as &dyn Fn(usize) -> String),
            ("state_key", &plain),
            ("sender", &user),
            ("room_id", &|bytes| format!("!{}", plain(bytes - 1))),
        ] {
            let parse = |bytes| {
                let value = value(bytes);
                assert_eq!(value.len(), bytes, "{field}");
                let json = resigned(&sealed, rules, |event| event[field] = Value::from(value));
                EventBody::parse(json.as_bytes(), rules)
            };
            assert!(parse(255).is_ok(), "{version} {field}");
            let error = parse(256).unwrap_err();
            let is_too_long = matches!(
                error,
                EventError::FieldTooLong { bytes: 256, .. } | EventError::Invalid(_)
            );
            assert!(is_too_long, "{version} {field}: {error:?}");
            let with_nul = resigned(&sealed, rules, |event| {
                event[field] = Value::from("@a\0:example.org");
            });
            assert_eq!(
                EventBody::parse(with_nul.as_bytes(), rules).unwrap_err(),
                EventError::Invalid(field)
            );
        }
    }
}

#[test]
fn references_are_counted_and_must_be_ids() {
    for version in RoomVersion::ALL {
        let rules = version.rules();
        let sealed = message(rules, "{}").unwrap();
        let is_old = matches!(version, RoomVersion::V1 | RoomVersion::V2);
        for (field, most) in [
            ("prev_events", limits::MAX_PREV_EVENTS),
            ("auth_events", limits::MAX_AUTH_EVENTS),
        ] {
            let parse = |references: Value| {
                let json = resigned(&sealed, rules, |event| event[field] = references);
                EventBody::parse(json.as_bytes(), rules).map(|_| ())
            };
            let some = |count: usize| {
                let reference = |n| {
                    if is_old {
                        json!([format!("$e{n}:x"), {}])
                    } else {
                        json!(format!("$e{n}"))
                    }
                };
                (0..count).map(reference).collect::<Value>()
            };
            assert_eq!(parse(some(most)), Ok(()));
            assert_eq!(
                parse(some(most + 1)),
                Err(EventError::TooManyReferences { field, count: most + 1 })
            );
            let other_format = if is_old { json!(["$e:x"]) } else { json!([["$e:x", {}]]) };
            for bad in [
                json!({}),
                json!("$e"),
                json!(null),
                json!([1]),
                json!(["e"]),
                json!([[]]),
                other_format,
            ] {
                assert_eq!(parse(bad), Err(EventError::Invalid(field)), "{version}");
            }
        }
    }
}

#[test]
fn fields_that_are_missing_or_of_another_type_are_named() {
    let rules = RoomVersion::V11.rules();
    let sealed = message(rules, "{}").unwrap();
    for field in [
        "auth_events",
        "content",
        "depth",
        "origin_server_ts",
        "prev_events",
        "room_id",
        "sender",
        "type",
    ] {
        let json = resigned(&sealed, rules, |event| {
            event.as_object_mut().unwrap().remove(field);
        });
        assert_eq!(
            EventBody::parse(json.as_bytes(), rules).unwrap_err(),
            EventError::Missing(field)
        );
        for wrong in [json!(null), json!(true), json!([1])] {
            let json = resigned(&sealed, rules, |event| event[field] = wrong);
            assert_eq!(
                EventBody::parse(json.as_bytes(), rules).unwrap_err(),
                EventError::Invalid(field)
            );
        }
    }
    for field in ["hashes", "signatures"] {
        let with = |value: Value| {
            let mut event: Value = serde_json::from_str(sealed.json()).unwrap();
            event[field] = value;
            EventBody::parse(event.to_string().as_bytes(), rules).unwrap_err()
        };
        assert_eq!(with(json!([])), EventError::Invalid(field));
    }
    for text in ["", "[]", "1", "\"{}\"", "null"] {
        let error = EventBody::parse(text.as_bytes(), rules).unwrap_err();
        assert!(matches!(error, EventError::Json(_)), "{text}: {error:?}");
    }
}

#[test]
fn deep_content_is_carried_up_to_the_bound() {
    let rules = RoomVersion::V11.rules();
    // The event and its content are two levels.
    let content = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth - 2), "]".repeat(depth - 2));
    let deep = message(rules, &content(1_000)).unwrap();
    let parsed = EventBody::parse(deep.json().as_bytes(), rules).unwrap();
    assert_eq!(parsed.trust_internal_plane(), deep);
    let too_deep = deep.json().replace("[[", "[[[").replace("]]", "]]]");
    assert_eq!(
        EventBody::parse(too_deep.as_bytes(), rules).unwrap_err(),
        EventError::Json(JsonError::TooDeep)
    );
}

#[test]
fn damaged_rows_of_the_database_are_errors_or_harmless() {
    let rules = RoomVersion::V11.rules();
    let sealed = message(rules, r#"{"body":"x\n","n":[1,{"a":null}]}"#).unwrap();
    let load = |json: Vec<u8>| EventBody::load(sealed.event_id().to_owned(), rules, json);
    for length in 0..sealed.json().len() {
        assert!(load(sealed.json().as_bytes()[..length].to_vec()).is_err(), "{length}");
        for byte in [
            0, b' ', b'"', b'\\', b'{', b'}', b'[', b']', b',', b':', b'0', b'x', 0xff,
        ] {
            let mut damaged = sealed.json().as_bytes().to_vec();
            damaged[length] = byte;
            // What still reads as an event can be shown like any other.
            if let Ok(event) = load(damaged) {
                assert!(event.client_json(ClientFormat { with_room_id: true }, None).get().len() > 100);
                assert_eq!(event.redacted(rules).event_id(), event.event_id());
            }
        }
    }
}
