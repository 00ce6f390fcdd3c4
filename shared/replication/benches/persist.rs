//! What the processor does for one message on its way into the log: its content made canonical, the events that allow it chosen, hashed, signed,
//! checked by the rules, and written as a frame for the database and as one for the readers. The database itself is not in it.

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use plexus_core::{
    auth::{self, AuthEvent},
    event::{EventBody, Legacy, NewEvent, SigningKey, canonical::canonicalize},
    ids::{EventNid, NodeId, RoomNid, UserNid},
    position::WriterId,
    room_version::RoomVersion,
    row::{EventRow, Frame, Row, Transaction},
};
use plexus_replication::frames;
use ruma::{OwnedEventId, OwnedRoomId, RoomId, room_id, server_name, user_id};
use serde_json::value::RawValue;

const CONTENT: &[u8] = br#"{"msgtype":"m.text","body":"The quick brown fox jumps over the lazy dog, and then again, until it is a message of usual length.","m.mentions":{}}"#;

/// A room of a hundred users with power, and the key of its server.
struct Room {
    version: RoomVersion,
    id: OwnedRoomId,
    key: SigningKey,
    create: Arc<EventBody>,
    state: Vec<Arc<EventBody>>,
}

impl Room {
    fn new(version: RoomVersion) -> Self {
        let key = SigningKey::from_seed("1", &[1; 32]).expect("a valid version");
        let create = r#"{"creator":"@alice:example.org"}"#;
        let mut room = Self {
            version,
            id: room_id!("!room:example.org").to_owned(),
            create: Arc::new(seal(version, &key, None, ("m.room.create", Some(""), create), &[], &[])),
            key,
            state: Vec::new(),
        };
        room.id = room.create.room_id().to_owned();
        let users: Vec<_> = (0..100).map(|n| format!(r#""@user{n}:example.org":{n}"#)).collect();
        let levels = format!(r#"{{"events":{{"m.room.name":50}},"users":{{{}}}}}"#, users.join(","));
        for (kind, key, content) in [
            ("m.room.member", "@alice:example.org", r#"{"membership":"join"}"#),
            ("m.room.power_levels", "", &levels),
        ] {
            let event = room.seal((kind, Some(key), content), &[], &[]);
            room.state.push(Arc::new(event));
        }
        room.state.push(Arc::clone(&room.create));
        room
    }

    fn seal(&self, what: (&str, Option<&str>, &str), prev: &[OwnedEventId], auth: &[OwnedEventId]) -> EventBody {
        seal(self.version, &self.key, Some(&self.id), what, prev, auth)
    }

    /// Everything there is to do for one message.
    fn persist(&self, content: &[u8], previous: &[OwnedEventId]) -> (usize, usize) {
        let rules = self.version.rules();
        let mut canonical = Vec::with_capacity(content.len());
        canonicalize(content, rules.numbers, &mut canonical).expect("valid content");
        let content = String::from_utf8(canonical).expect("text");
        let sender = "@alice:example.org";
        let find = |kind: &str, key: &str| self.state.iter().find(|event| event.is_state(kind, key));
        let types = auth::auth_types(rules, "m.room.message", sender, None, &content);
        let allowing: Vec<_> = types.iter().filter_map(|(kind, key)| find(kind, key)).collect();
        let ids: Vec<_> = allowing.iter().map(|event| event.event_id().to_owned()).collect();
        let event = self.seal(("m.room.message", None, &content), previous, &ids);
        let given: Vec<_> = allowing
            .iter()
            .map(|body| AuthEvent {
                body,
                is_rejected: false,
            })
            .collect();
        let create = AuthEvent {
            body: &self.create,
            is_rejected: false,
        };
        auth::check_auth_events(rules, &event, &given, Some(create)).expect("what was chosen");
        auth::check(rules, &event, Some(&self.create), &|kind, key| find(kind, key).cloned()).expect("allowed");
        let frame = Frame {
            writer: WriterId(0),
            epoch: 1,
            previous: 41,
            position: 42,
            rows: vec![Row::Event(row(event))],
        };
        (
            frames::encode_stored(&frame).len(),
            frames::encode_published(&frame).len(),
        )
    }
}

fn row(event: EventBody) -> EventRow {
    EventRow {
        event: EventNid(1_000_042),
        room: RoomNid(17),
        sender: UserNid(5),
        room_order: 4_200,
        state_key: None,
        state_before: NodeId(99),
        state_after: NodeId(99),
        room_root: NodeId(99),
        notifying: 3_000,
        membership: None,
        transaction: Some(Arc::new(Transaction {
            device: "DEVICE".into(),
            id: "m1700000000.1".to_owned(),
        })),
        was_outlier: false,
        outgoing: true,
        auth_parents: None,
        body: Some(Arc::new(event)),
    }
}

fn seal(
    version: RoomVersion,
    key: &SigningKey,
    room_id: Option<&RoomId>,
    (kind, state_key, content): (&str, Option<&str>, &str),
    prev_events: &[OwnedEventId],
    auth_events: &[OwnedEventId],
) -> EventBody {
    let content: Box<RawValue> = serde_json::from_str(content).expect("valid JSON");
    let is_unnamed = version == RoomVersion::V12 && kind == "m.room.create";
    let event = NewEvent {
        room_id: room_id.or(Some(room_id!("!room:example.org"))).filter(|_| !is_unnamed),
        sender: user_id!("@alice:example.org"),
        kind,
        state_key,
        content: &content,
        prev_events,
        auth_events,
        depth: 1_000,
        origin_server_ts: 1_700_000_000_000,
        redacts: None,
        legacy: Some(Legacy {
            localpart: "abcdefghijklmnopqr",
            hashes: &|_| Some([0; 32]),
        }),
    };
    event
        .seal(version.rules(), key, server_name!("example.org"))
        .expect("a valid event")
}

fn persist(c: &mut Criterion) {
    for version in [RoomVersion::V4, RoomVersion::V12] {
        let room = Room::new(version);
        let previous = [room.state[0].event_id().to_owned()];
        c.bench_function(&format!("persist a message, version {version}"), |b| {
            b.iter(|| room.persist(black_box(CONTENT), &previous));
        });
    }
}

criterion_group!(benches, persist);
criterion_main!(benches);
