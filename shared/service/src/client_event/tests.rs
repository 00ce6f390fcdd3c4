use std::sync::Arc;

use plexus_core::{
    event::EventBody,
    ids::{EventNid, NodeId, RoomNid, UserNid},
    room_version::RoomVersion,
    row::EventStatus,
};
use ruma::owned_event_id;
use serde_json::{Value, json};

use super::*;

fn event(version: RoomVersion, more: &Value) -> StoredEvent {
    let mut event = json!({
        "auth_events": [], "content": {"body": "a \"quoted\" \u{e9}\n text"}, "depth": 3, "hashes": {"sha256": "x"},
        "origin_server_ts": 1000, "prev_events": [], "room_id": "!r:here", "sender": "@a:here", "signatures": {},
        "type": "m.room.message",
    });
    let more = more.as_object().expect("an object").clone();
    event.as_object_mut().expect("an object").extend(more);
    let json = event.to_string().into_bytes();
    let body = EventBody::load(owned_event_id!("$event"), version.rules(), json).expect("an event");
    StoredEvent {
        nid: EventNid(1),
        room: RoomNid(1),
        sender: UserNid(1),
        position: 1,
        room_order: Some(1),
        state_key: None,
        state_before: NodeId::default(),
        room_root: NodeId::default(),
        status: EventStatus::Accepted,
        state_after: NodeId::default(),
        auth_parents: None,
        notifying: 0,
        redacted_by: None,
        transaction: None,
        body: Arc::new(body),
    }
}

fn written(event: &ClientEvent<'_>) -> Value {
    let mut out = Vec::new();
    event.write(&mut out);
    serde_json::from_slice(&out).expect("JSON")
}

#[test]
fn what_servers_tell_each_other_stays_between_them() {
    let event = event(RoomVersion::V10, &json!({"state_key": "weird \"key\""}));
    let expected = json!({
        "content": {"body": "a \"quoted\" \u{e9}\n text"}, "event_id": "$event", "origin_server_ts": 1000, "room_id": "!r:here",
        "sender": "@a:here", "state_key": "weird \"key\"", "type": "m.room.message", "unsigned": {"age": 4000},
    });
    assert_eq!(written(&ClientEvent::new(&event, 5000)), expected);
    let in_sync = ClientEvent {
        with_room_id: false,
        ..ClientEvent::new(&event, 5000)
    };
    assert!(written(&in_sync).get("room_id").is_none());
    assert_eq!(
        written(&ClientEvent::new(&event, 0))["unsigned"]["age"],
        0,
        "a clock behind the sender's"
    );
}

#[test]
fn unsigned_has_what_is_known() {
    let old = event(RoomVersion::V10, &json!({"content": {"name": "old"}, "state_key": ""}));
    let because = event(
        RoomVersion::V10,
        &json!({"type": "m.room.redaction", "content": {}, "redacts": "$event"}),
    );
    let new = event(RoomVersion::V10, &json!({"state_key": ""}));
    let full = ClientEvent {
        transaction_id: Some("t\"1"),
        redaction: Some(&because),
        replaced: Some(&old),
        ..ClientEvent::new(&new, 1000)
    };
    let unsigned = written(&full)["unsigned"].clone();
    assert_eq!(unsigned["prev_content"], json!({"name": "old"}));
    assert_eq!(unsigned["replaces_state"], "$event");
    assert_eq!(unsigned["transaction_id"], "t\"1");
    assert_eq!(unsigned["redacted_because"]["type"], "m.room.redaction");
}

#[test]
fn a_redaction_names_its_target_where_older_and_newer_clients_look() {
    let redaction = json!({"type": "m.room.redaction", "content": {"reason": "r"}, "redacts": "$target"});
    let bare = json!({"type": "m.room.redaction", "content": {}, "redacts": "$target"});
    let newer = json!({"type": "m.room.redaction", "content": {"redacts": "$target"}});
    for (version, event_json) in [
        (RoomVersion::V3, redaction),
        (RoomVersion::V10, bare),
        (RoomVersion::V11, newer),
    ] {
        let event = event(version, &event_json);
        let written = written(&ClientEvent::new(&event, 0));
        assert_eq!(
            (&written["redacts"], &written["content"]["redacts"]),
            (&json!("$target"), &json!("$target")),
            "{version}"
        );
    }
}
