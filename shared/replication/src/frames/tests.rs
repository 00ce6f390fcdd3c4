use plexus_core::{
    event::EventBody,
    ids::{EventNid, NodeId, RoomNid, StateKeyNid, UserNid},
    position::Epoch,
    room_version::{ReferenceFormat, RoomVersion},
    row::{EventRow, Membership, PresenceRow, PresenceState, ReceiptKind, ReceiptRow, Row, StateRow, Transaction},
};
use ruma::{event_id, owned_device_id, owned_event_id, server_name};

use super::*;
use crate::EPHEMERAL;

fn body(version: RoomVersion, text: &str) -> Arc<EventBody> {
    let references = match version.rules().references {
        ReferenceFormat::HashedPairs => r#"[["$before:example.org",{"sha256":"abc"}]]"#,
        ReferenceFormat::Ids => r#"["$before"]"#,
    };
    let json = format!(
        concat!(
            r#"{{"auth_events":{references},"content":{{"body":"{text}"}},"depth":3,"event_id":"$here:example.org","#,
            r#""hashes":{{"sha256":"abc"}},"origin_server_ts":5,"prev_events":{references},"room_id":"!room:example.org","#,
            r#""sender":"@alice:example.org","signatures":{{}},"type":"m.room.message"}}"#
        ),
        references = references,
        text = text
    );
    let id = event_id!("$here:example.org").to_owned();
    Arc::new(EventBody::load(id, version.rules(), json.into_bytes()).unwrap())
}

fn event(body: Option<Arc<EventBody>>) -> Row {
    Row::Event(EventRow {
        event: EventNid(1),
        room: RoomNid(2),
        sender: UserNid(3),
        room_order: -4,
        state_key: Some(StateKeyNid(5)),
        state_before: NodeId(6),
        room_root: NodeId(7),
        state_after: NodeId(10),
        was_outlier: true,
        outgoing: true,
        auth_parents: body.as_ref().map(|_| vec![EventNid(3), EventNid(5)].into()),
        notifying: 9,
        membership: Some((UserNid(8), Membership::Knock)),
        transaction: Some(Arc::new(Transaction {
            device: owned_device_id!("PHONE"),
            id: "t1".into(),
        })),
        body,
    })
}

fn frame(rows: Vec<Row>) -> Frame {
    let position = 40 + Sequence::try_from(rows.len()).unwrap();
    Frame {
        writer: WriterId(3),
        epoch: 9 as Epoch,
        previous: 40,
        position,
        rows,
    }
}

fn receipt(kind: ReceiptKind, thread: Option<&str>) -> Row {
    Row::Receipt(ReceiptRow {
        room: RoomNid(1),
        user: UserNid(2),
        kind,
        thread: thread.map(Into::into),
        event_id: owned_event_id!("$read"),
        ts_ms: 12,
    })
}

fn every_kind(body: Option<Arc<EventBody>>) -> Vec<Row> {
    let mut rows = vec![
        event(body),
        Row::Redaction {
            room: RoomNid(1),
            event: EventNid(2),
            redacted_by: EventNid(3),
        },
        Row::Account { user: UserNid(1) },
        Row::Device {
            user: UserNid(1),
            device: owned_device_id!("PHONE"),
            deleted: true,
        },
        Row::Profile { user: UserNid(1) },
        receipt(ReceiptKind::Read, None),
        receipt(ReceiptKind::ReadPrivate, Some("main")),
        Row::AccountData {
            user: UserNid(1),
            room: None,
            kind: "m.direct".to_owned(),
        },
        Row::AccountData {
            user: UserNid(1),
            room: Some(RoomNid(2)),
            kind: "m.tag".to_owned(),
        },
        Row::DeviceList { user: UserNid(1) },
        Row::KeyView {
            user: UserNid(1),
            viewer: UserNid(2),
        },
        Row::KeyCounts {
            user: UserNid(1),
            device: owned_device_id!("PHONE"),
        },
        Row::ToDevice {
            user: UserNid(1),
            device: owned_device_id!("PHONE"),
        },
        Row::Room { room: RoomNid(1) },
        Row::OutgoingToDevice {
            server: server_name!("b.example:8448").to_owned(),
        },
        Row::Forgotten {
            user: UserNid(1),
            room: RoomNid(2),
        },
        Row::Purged {
            room: RoomNid(1),
            events: vec![EventNid(2), EventNid(3)],
            whole: true,
        },
        Row::Pusher { user: UserNid(1) },
        Row::Presence(PresenceRow {
            user: UserNid(1),
            state: PresenceState::Unavailable,
            status_msg: Some("lunch".to_owned()),
            last_active_ms: 12,
            currently_active: true,
        }),
        Row::Typing {
            room: RoomNid(1),
            users: vec![UserNid(1), UserNid(2)],
        },
    ];
    rows.extend(graph_kinds());
    rows
}

fn graph_kinds() -> Vec<Row> {
    vec![
        Row::State(StateRow {
            room: RoomNid(1),
            memberships: vec![
                (UserNid(2), Membership::Ban, EventNid(3)),
                (UserNid(4), Membership::Join, EventNid(5)),
            ],
        }),
        Row::Partial { room: RoomNid(4) },
        Row::Unlisted {
            room: RoomNid(1),
            event: EventNid(2),
        },
    ]
}

#[test]
fn every_kind_of_row_comes_out_as_it_went_in() {
    let stored = frame(every_kind(None));
    assert_eq!(*decode(encode_stored(&stored)).unwrap(), stored);
    let published = frame(every_kind(Some(body(RoomVersion::V12, "hello"))));
    assert_eq!(*decode(encode_published(&published)).unwrap(), published);
    let ephemeral = Frame {
        writer: EPHEMERAL,
        ..stored
    };
    assert_eq!(*decode(encode_stored(&ephemeral)).unwrap(), ephemeral);
}

#[test]
fn a_body_is_read_by_the_rules_of_its_room_version() {
    for version in RoomVersion::ALL {
        let published = frame(vec![event(Some(body(version, "hello")))]);
        assert_eq!(*decode(encode_published(&published)).unwrap(), published, "{version}");
    }
}

#[test]
fn the_log_holds_no_bodies() {
    let with = frame(vec![event(Some(body(RoomVersion::V12, "hello")))]);
    assert_eq!(*decode(encode_stored(&with)).unwrap(), frame(vec![event(None)]));
}

#[test]
fn large_bodies_stay_behind_then_all_bodies_and_then_all_rows() {
    let large = body(RoomVersion::V12, &"x".repeat(BODY_BYTES_MAX));
    let small = body(RoomVersion::V12, "hello");
    let mixed = frame(vec![event(Some(large)), event(Some(Arc::clone(&small)))]);
    assert_eq!(
        *decode(encode_published(&mixed)).unwrap(),
        frame(vec![event(None), event(Some(small))])
    );

    let medium = body(RoomVersion::V12, &"x".repeat(10_000));
    let many = frame(vec![event(Some(medium)); 30]);
    assert_eq!(*decode(encode_published(&many)).unwrap(), frame(vec![event(None); 30]));

    let too_many = frame(vec![event(None); 10_000]);
    let read = decode(encode_published(&too_many)).unwrap();
    assert_eq!(*read, heartbeat_of(&too_many));
    assert_eq!(read.previous, read.position, "a reader that is not there sees a gap");
}

#[test]
fn what_this_release_does_not_know_is_told_apart_from_garbage() {
    let good = to_proto(&frame(every_kind(None)), false);

    let mut newer = good.clone();
    newer.rows[2].kind = None;
    assert!(matches!(
        from_proto(newer),
        Err(FrameError::UnknownRow {
            writer: 3,
            sequence: 43
        })
    ));

    let mut newer = good.clone();
    if let Some(proto::row::Kind::Receipt(receipt)) = &mut newer.rows[5].kind {
        receipt.kind = 77;
    }
    assert!(matches!(
        from_proto(newer),
        Err(FrameError::UnknownRow {
            writer: 3,
            sequence: 46
        })
    ));

    let mut newer = good.clone();
    if let Some(proto::row::Kind::Event(event)) = &mut newer.rows[0].kind {
        event.membership = Some(proto::MembershipChange {
            user: 1,
            membership: 99,
        });
    }
    assert!(matches!(
        from_proto(newer),
        Err(FrameError::UnknownRow {
            writer: 3,
            sequence: 41
        })
    ));

    let mut short = good.clone();
    short.rows.pop();
    assert!(matches!(from_proto(short), Err(FrameError::Invalid(_))));
    assert!(matches!(
        from_proto(proto::Frame {
            previous: i64::MIN,
            ..good.clone()
        }),
        Err(FrameError::Invalid(_))
    ));
    assert!(matches!(
        from_proto(proto::Frame { writer: 70_000, ..good }),
        Err(FrameError::Invalid(_))
    ));
    assert!(matches!(
        decode(Bytes::from_static(b"\xff\xff\xff")),
        Err(FrameError::Corrupt(_))
    ));
}

#[test]
fn a_body_that_cannot_be_read_is_left_out() {
    let mut message = to_proto(&frame(vec![event(Some(body(RoomVersion::V12, "hello")))]), true);
    if let Some(proto::row::Kind::Event(row)) = &mut message.rows[0].kind {
        row.body.as_mut().unwrap().room_version = 4000;
    }
    assert_eq!(from_proto(message).unwrap(), frame(vec![event(None)]));
}
