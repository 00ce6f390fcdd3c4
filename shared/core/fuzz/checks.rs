//! What has to hold for any input: run by the fuzzer on what it makes up, and by the test `corpus` on what is kept of that.

use plexus_core::{
    auth::{self, PowerLevels},
    event::{ClientFormat, EventBody, ParsedEvent, canonical::canonical_object, json, limits, redact, relation},
    room_version::{Numbers, RoomVersion, RoomVersionRules},
};
use serde_json::Value;

/// Any text as JSON.
pub(crate) fn canonical_json(input: &[u8]) {
    let lenient = canonical_object(input, Numbers::Lenient);
    let strict = canonical_object(input, Numbers::Strict);
    if let Ok(strict) = &strict {
        assert_eq!(Ok(strict), lenient.as_ref(), "what is strict is lenient, and the same");
    }
    let Ok(text) = lenient else { return };
    assert_eq!(
        canonical_object(text.as_bytes(), Numbers::Lenient).as_ref(),
        Ok(&text),
        "canonical is canonical"
    );
    assert_keys_in_order(&text);
    // The oracle stops at a smaller depth, and reads -0 as a float.
    if let Ok(value) = serde_json::from_slice::<Value>(input)
        && !input.windows(2).any(|pair| pair == b"-0")
    {
        let read: Value = serde_json::from_str(&text).expect("canonical JSON is JSON");
        assert!(means_the_same(&read, &value), "the form changed, the meaning did not");
    }
}

/// Whether two values are equal, up to the last digit of a float: that is where the oracle, as it is built here, is not exact.
fn means_the_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(x), Some(y)) if a.is_f64() && b.is_f64() => (x - y).abs() <= x.abs() * 1e-12,
            _ => a == b,
        },
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| means_the_same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| means_the_same(a, b)))
        }
        _ => a == b,
    }
}

fn assert_keys_in_order(object: &str) {
    let keys: Vec<_> = json::members(object)
        .map(|member| json::unescape(member.raw_key))
        .collect();
    assert!(keys.is_sorted_by(|a, b| a < b), "keys are in order and different");
    for member in json::members(object) {
        assert_eq!(
            json::get(object, &json::unescape(member.raw_key)),
            Some(member.value),
            "what is there is found"
        );
    }
}

/// The first byte says which room version, the rest is an event of another server.
pub(crate) fn event(input: &[u8]) {
    let Some((rules, input)) = with_version(input) else {
        return;
    };
    let Ok(parsed) = EventBody::parse(input, rules) else {
        return;
    };
    assert_within_bounds(&parsed);
    assert!(parsed.required_servers().count() + parsed.key_ids().len() < input.len());
    let body = parsed.trust_internal_plane();
    let text = body.json();
    assert_eq!(
        canonical_object(text.as_bytes(), rules.numbers).as_deref(),
        Ok(text),
        "what is kept is canonical"
    );
    let loaded = EventBody::load(body.event_id().to_owned(), rules, text.as_bytes().to_vec());
    assert_eq!(loaded.as_ref(), Ok(&body), "what is stored is read again");
    // Redacted or not: one that somebody added keys to is whole again without them.
    let again = EventBody::parse(text.as_bytes(), rules).expect("what was taken once is taken again");
    assert_eq!(again.event_id(), body.event_id());

    let redacted = body.redacted(rules);
    assert_eq!(redacted.event_id(), body.event_id());
    assert_eq!(
        redacted.reference_hash(rules),
        body.reference_hash(rules),
        "redaction does not change the event's name"
    );
    assert_eq!(redacted.redacted(rules), redacted);
    assert_readable(&body);
    assert_judged(rules, &body);
}

fn assert_within_bounds(parsed: &ParsedEvent) {
    let ids = parsed
        .prev_events()
        .iter()
        .chain(parsed.auth_events())
        .map(|id| id.as_str());
    let fields = [
        parsed.event_id().as_str(),
        parsed.room_id().as_str(),
        parsed.sender().as_str(),
        parsed.kind(),
        parsed.state_key().unwrap_or_default(),
    ];
    for field in ids.chain(fields) {
        assert!(
            field.len() <= limits::MAX_FIELD_BYTES && !field.contains('\0'),
            "{field:?}"
        );
    }
    assert!(parsed.prev_events().len() <= limits::MAX_PREV_EVENTS);
    assert!(parsed.auth_events().len() <= limits::MAX_AUTH_EVENTS);
}

/// Every form in which an event leaves the server is JSON.
fn assert_readable(body: &EventBody) {
    let mut federation = Vec::new();
    body.write_federation_json(&mut federation);
    let federation = String::from_utf8(federation).expect("text");
    let client = body.client_json(ClientFormat { with_room_id: true }, None);
    for text in [&federation, client.get(), body.stripped_json().get()] {
        serde_json::from_str::<serde::de::IgnoredAny>(text).expect("JSON");
    }
    let _relation = relation(body.content());
    let _membership = body.membership();
}

/// The rules come to a verdict, whatever the event says about itself.
fn assert_judged(rules: &'static RoomVersionRules, body: &EventBody) {
    let itself = std::sync::Arc::new(body.clone());
    let nothing = |_: &str, _: &str| None;
    let everything = |_: &str, _: &str| Some(itself.clone());
    for state in [&nothing as &auth::State<'_>, &everything] {
        let _verdict = auth::check(rules, body, Some(body), state);
    }
    let key = body.state_key();
    let types = auth::auth_types(rules, body.kind(), body.sender().as_str(), key, body.content());
    assert!(types.len() <= limits::MAX_AUTH_EVENTS);
    let levels = PowerLevels::read(rules, body, Some(body));
    let _level = levels.user_level(body.sender().as_str());
    let _level = levels.event_level(body.kind(), key.is_some());
}

/// The first byte says which room version, the rest is an event of any kind.
pub(crate) fn redaction(input: &[u8]) {
    let Some((rules, input)) = with_version(input) else {
        return;
    };
    let Ok(text) = canonical_object(input, rules.numbers) else {
        return;
    };
    let kind = json::get(&text, "type").and_then(json::string).unwrap_or_default();
    let redacted = redact::redact(&text, &kind, rules.redaction);
    let redacted = String::from_utf8(redacted).expect("made of strings");
    assert_eq!(
        canonical_object(redacted.as_bytes(), rules.numbers).as_ref(),
        Ok(&redacted),
        "still canonical"
    );
    assert!(redacted.len() <= text.len().max("{}".len()) || !is_object(&text, "content"));
    let again = redact::redact(&redacted, &kind, rules.redaction);
    assert_eq!(again, redacted.as_bytes(), "nothing is left to take away");
    let signed = redact::signed_form(&text, &kind, rules.redaction);
    assert_eq!(
        redact::signed_form(&redacted, &kind, rules.redaction),
        signed,
        "the redacted form has the same name"
    );
    for member in json::members(&redacted) {
        let whole = json::get(&text, member.raw_key).expect("nothing is added");
        if member.raw_key == "content" {
            assert!(
                json::members(member.value).all(|inner| json::get(whole, &json::unescape(inner.raw_key)).is_some())
            );
        } else {
            assert_eq!(member.value, whole, "nothing else is changed");
        }
    }
}

fn is_object(object: &str, key: &str) -> bool {
    json::get(object, key).is_some_and(json::is_object)
}

fn with_version(input: &[u8]) -> Option<(&'static RoomVersionRules, &[u8])> {
    let (first, rest) = input.split_first()?;
    let version = RoomVersion::ALL.get(usize::from(*first) % RoomVersion::ALL.len())?;
    Some((version.rules(), rest))
}
