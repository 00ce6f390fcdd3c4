//! What an event costs on the paths it takes most: sealed once, loaded now and then, written for every reader.

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use plexus_core::{
    auth,
    event::{ClientFormat, EventBody, NewEvent, SigningKey},
    room_version::RoomVersion,
};
use ruma::{OwnedEventId, owned_event_id, room_id, server_name, user_id};
use serde_json::value::RawValue;

const CONTENT: &str = r#"{"body":"The quick brown fox jumps over the lazy dog, and then again, until it is a message of usual length.","m.mentions":{},"msgtype":"m.text"}"#;

fn ids() -> Vec<OwnedEventId> {
    vec![
        owned_event_id!("$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg"),
        owned_event_id!("$acR1l0raoZnm60CBwAVgqbZqoOmYU81xysh1u7XcJk0"),
        owned_event_id!("$CD66HAED5npg6074c6pDtLKalHjVfYb2q4Q3LZgrW6o"),
    ]
}

fn new_event<'a>(content: &'a RawValue, ids: &'a [OwnedEventId]) -> NewEvent<'a> {
    NewEvent {
        room_id: Some(room_id!("!room:example.org")),
        sender: user_id!("@alice:example.org"),
        kind: "m.room.message",
        state_key: None,
        content,
        prev_events: &ids[..ids.len().min(1)],
        auth_events: ids,
        depth: 1_000,
        origin_server_ts: 1_700_000_000_000,
        redacts: None,
        legacy: None,
    }
}

fn seal(content: &RawValue, ids: &[OwnedEventId], key: &SigningKey) -> EventBody {
    let event = new_event(content, ids).seal(RoomVersion::V11.rules(), key, server_name!("example.org"));
    event.expect("a valid event")
}

fn events(c: &mut Criterion) {
    let rules = RoomVersion::V11.rules();
    let key = SigningKey::from_seed("1", &[1; 32]).expect("a valid version");
    let content: Box<RawValue> = serde_json::from_str(CONTENT).expect("valid JSON");
    let ids = ids();
    let event = seal(&content, &ids, &key);
    let unsigned: Box<RawValue> = serde_json::from_str(r#"{"age":12,"transaction_id":"m1.2"}"#).expect("valid JSON");

    c.bench_function("sign", |b| {
        b.iter(|| key.sign(black_box(&event.json().as_bytes()[..400])));
    });
    c.bench_function("seal", |b| b.iter(|| seal(black_box(&content), &ids, &key)));
    c.bench_function("load", |b| {
        b.iter(|| {
            let json = event.json().as_bytes().to_vec();
            EventBody::load(event.event_id().to_owned(), rules, black_box(json)).expect("a valid event")
        });
    });
    c.bench_function("parse", |b| {
        b.iter(|| EventBody::parse(black_box(event.json().as_bytes()), rules).expect("a valid event"));
    });
    c.bench_function("client_json", |b| {
        b.iter(|| event.client_json(ClientFormat { with_room_id: false }, Some(black_box(&unsigned))));
    });
    let mut out = Vec::with_capacity(4_096);
    c.bench_function("write_client_json", |b| {
        b.iter(|| {
            out.clear();
            event.write_client_json(
                ClientFormat { with_room_id: false },
                Some(black_box(&unsigned)),
                &mut out,
            );
        });
    });
    authorization(c);
}

/// A room of a hundred users with power, and one of them says something.
fn authorization(c: &mut Criterion) {
    let rules = RoomVersion::V11.rules();
    let key = SigningKey::from_seed("1", &[1; 32]).expect("a valid version");
    let users: Vec<_> = (0..100).map(|n| format!(r#""@user{n}:example.org":{n}"#)).collect();
    let levels = format!(r#"{{"events":{{"m.room.name":50}},"users":{{{}}}}}"#, users.join(","));
    let state_event = |kind, state_key, content: &str| {
        let content: Box<RawValue> = serde_json::from_str(content).expect("valid JSON");
        let event = NewEvent {
            kind,
            state_key: Some(state_key),
            content: &content,
            ..new_event(&content, &[])
        };
        Arc::new(
            event
                .seal(rules, &key, server_name!("example.org"))
                .expect("a valid event"),
        )
    };
    let create = state_event("m.room.create", "", "{}");
    let power_levels = state_event("m.room.power_levels", "", &levels);
    let member = state_event("m.room.member", "@alice:example.org", r#"{"membership":"join"}"#);
    let state = |kind: &str, _: &str| match kind {
        "m.room.member" => Some(member.clone()),
        "m.room.power_levels" => Some(power_levels.clone()),
        _ => None,
    };
    let content: Box<RawValue> = serde_json::from_str(CONTENT).expect("valid JSON");
    let event = new_event(&content, &[])
        .seal(rules, &key, server_name!("example.org"))
        .expect("a valid event");

    c.bench_function("auth_types", |b| {
        b.iter(|| {
            let sender = event.sender().as_str();
            auth::auth_types(rules, event.kind(), sender, None, black_box(event.content()))
        });
    });
    c.bench_function("check", |b| {
        b.iter(|| auth::check(rules, black_box(&event), Some(&create), &state));
    });
}

criterion_group!(benches, events);
criterion_main!(benches);
