use plexus_core::{event::hash::encode_url_safe_base64, ids::RoomNid, row::EventStatus};
use ruma::EventId;

use super::{id::read_event_id, *};

/// A message that is event number `position`.
pub(crate) fn message(position: Sequence) -> Arc<StoredEvent> {
    let id = format!("${}", encode_url_safe_base64(&[7; 32]));
    let json = format!(
        r#"{{"auth_events":[],"content":{{"body":"{position}"}},"depth":1,"origin_server_ts":1,"prev_events":[],"room_id":"!r:x","sender":"@a:x","type":"m.room.message"}}"#
    );
    let body = EventBody::load(
        EventId::parse(id).expect("an id"),
        RoomVersion::V11.rules(),
        json.into_bytes(),
    );
    Arc::new(StoredEvent {
        nid: EventNid(position),
        room: RoomNid(1),
        sender: UserNid(1),
        position,
        room_order: Some(position),
        state_key: None,
        state_before: NodeId(position - 1),
        room_root: NodeId(position),
        status: EventStatus::Accepted,
        state_after: NodeId(position),
        auth_parents: None,
        notifying: 0,
        redacted_by: None,
        transaction: None,
        body: Arc::new(body.expect("an event")),
    })
}

#[test]
fn hashes_are_stored_as_bytes_and_chosen_ids_as_text() {
    let hash = [0xFB; 32];
    for (version, id, column) in [
        (RoomVersion::V1, "$chosen:example.org", &b"$chosen:example.org"[..]),
        (RoomVersion::V2, "$+/:example.org", b"$+/:example.org"),
        (RoomVersion::V3, "$+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s", &hash),
        (RoomVersion::V4, "$-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s", &hash),
        (RoomVersion::V12, "$-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s", &hash),
    ] {
        let id = EventId::parse(id).expect("an id");
        assert_eq!(event_id_bytes(version, &id).as_deref(), Some(column), "{version}");
        assert_eq!(read_event_id(version, column).expect("an id"), id, "{version}");
    }
}

#[test]
fn only_one_text_finds_an_event() {
    for (version, id) in [
        (RoomVersion::V3, "$-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s"),
        (RoomVersion::V4, "$+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s"),
        // Bits left over, padding, too short, not base64.
        (RoomVersion::V4, "$-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_t"),
        (RoomVersion::V4, "$-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s="),
        (RoomVersion::V4, "$-_v7"),
        (RoomVersion::V4, "$chosen:example.org"),
    ] {
        let id = EventId::parse(id).expect("an id");
        assert_eq!(event_id_bytes(version, &id), None, "{version} {id}");
    }
}
