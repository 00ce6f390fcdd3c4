//! Rows as messages.

use std::sync::Arc;

use plexus_core::{
    ids::{EventNid, NodeId, RoomNid, StateKeyNid, UserNid},
    position::Sequence,
    row::{EventRow, Membership, PresenceRow, PresenceState, ReceiptKind, ReceiptRow, Row, StateRow, Transaction},
};
use plexus_proto::{self as proto, row::Kind};
use ruma::{EventId, ServerName};

use super::{FrameError, body};

/// What is wrong with a row.
#[derive(Debug)]
pub(super) enum RowError {
    Unknown,
    Invalid(&'static str),
}

impl RowError {
    pub(super) fn at(self, writer: u16, sequence: Sequence) -> FrameError {
        match self {
            Self::Unknown => FrameError::UnknownRow { writer, sequence },
            Self::Invalid(what) => FrameError::Invalid(what),
        }
    }
}

pub(super) fn to_proto(row: &Row, bodies: bool) -> proto::Row {
    let kind = match row {
        Row::Event(event) => Kind::Event(event_to_proto(event, bodies)),
        Row::Redaction {
            room,
            event,
            redacted_by,
        } => Kind::Redaction(proto::RedactionRow {
            room: room.0,
            event: event.0,
            redacted_by: redacted_by.0,
        }),
        Row::Account { user } => Kind::Account(proto::AccountRow { user: user.0 }),
        Row::Device { user, device, deleted } => Kind::Device(proto::DeviceRow {
            user: user.0,
            device: device.as_str().into(),
            deleted: *deleted,
        }),
        Row::Profile { user } => Kind::Profile(proto::ProfileRow { user: user.0 }),
        Row::Receipt(receipt) => Kind::Receipt(proto::ReceiptRow {
            room: receipt.room.0,
            user: receipt.user.0,
            kind: receipt.kind.code(),
            thread: receipt.thread.clone(),
            event_id: receipt.event_id.as_str().into(),
            ts_ms: receipt.ts_ms,
        }),
        Row::AccountData { user, room, kind } => Kind::AccountData(proto::AccountDataRow {
            user: user.0,
            room: room.map(|room| room.0),
            kind: kind.clone(),
        }),
        Row::DeviceList { user } => Kind::DeviceList(proto::DeviceListRow { user: user.0 }),
        Row::KeyView { user, viewer } => Kind::KeyView(proto::KeyViewRow {
            user: user.0,
            viewer: viewer.0,
        }),
        Row::KeyCounts { user, device } => Kind::KeyCounts(proto::KeyCountsRow {
            user: user.0,
            device: device.as_str().into(),
        }),
        Row::ToDevice { user, device } => Kind::ToDevice(proto::ToDeviceRow {
            user: user.0,
            device: device.as_str().into(),
        }),
        Row::OutgoingToDevice { server } => Kind::OutgoingToDevice(proto::OutgoingToDeviceRow {
            server: server.as_str().into(),
        }),
        Row::State(row) => Kind::State(state_to_proto(row)),
        Row::Unlisted { room, event } => Kind::Unlisted(proto::UnlistedRow {
            room: room.0,
            event: event.0,
        }),
        Row::Partial { room } => Kind::Partial(proto::PartialRow { room: room.0 }),
        Row::Room { room } => Kind::Room(proto::RoomRow { room: room.0 }),
        Row::Forgotten { user, room } => Kind::Forgotten(proto::ForgottenRow {
            user: user.0,
            room: room.0,
        }),
        Row::Purged { room, events, whole } => Kind::Purged(purged_to_proto(*room, events, *whole)),
        Row::Pusher { user } => Kind::Pusher(proto::PusherRow { user: user.0 }),
        Row::Presence(presence) => Kind::Presence(presence_to_proto(presence)),
        Row::Typing { room, users } => Kind::Typing(proto::TypingRow {
            room: room.0,
            users: users.iter().map(|user| user.0).collect(),
        }),
    };
    proto::Row { kind: Some(kind) }
}

pub(super) fn from_proto(row: proto::Row) -> Result<Row, RowError> {
    // protobuf reads a kind it does not know as no kind at all.
    Ok(match row.kind.ok_or(RowError::Unknown)? {
        Kind::Event(event) => Row::Event(event_from_proto(event)?),
        Kind::Redaction(row) => Row::Redaction {
            room: RoomNid(row.room),
            event: EventNid(row.event),
            redacted_by: EventNid(row.redacted_by),
        },
        Kind::Account(row) => Row::Account {
            user: UserNid(row.user),
        },
        Kind::Device(row) => Row::Device {
            user: UserNid(row.user),
            device: row.device.into(),
            deleted: row.deleted,
        },
        Kind::Profile(row) => Row::Profile {
            user: UserNid(row.user),
        },
        Kind::Receipt(row) => Row::Receipt(receipt_from_proto(row)?),
        Kind::AccountData(row) => Row::AccountData {
            user: UserNid(row.user),
            room: row.room.map(RoomNid),
            kind: row.kind,
        },
        Kind::DeviceList(row) => Row::DeviceList {
            user: UserNid(row.user),
        },
        Kind::KeyView(row) => Row::KeyView {
            user: UserNid(row.user),
            viewer: UserNid(row.viewer),
        },
        Kind::KeyCounts(row) => Row::KeyCounts {
            user: UserNid(row.user),
            device: row.device.into(),
        },
        Kind::ToDevice(row) => Row::ToDevice {
            user: UserNid(row.user),
            device: row.device.into(),
        },
        Kind::OutgoingToDevice(row) => Row::OutgoingToDevice {
            server: ServerName::parse(row.server).map_err(|_| RowError::Invalid("a server's name"))?,
        },
        Kind::State(row) => Row::State(state_from_proto(row)?),
        Kind::Unlisted(row) => Row::Unlisted {
            room: RoomNid(row.room),
            event: EventNid(row.event),
        },
        Kind::Partial(row) => Row::Partial {
            room: RoomNid(row.room),
        },
        Kind::Room(row) => Row::Room {
            room: RoomNid(row.room),
        },
        Kind::Forgotten(row) => Row::Forgotten {
            user: UserNid(row.user),
            room: RoomNid(row.room),
        },
        Kind::Purged(row) => purged_from_proto(row),
        Kind::Pusher(row) => Row::Pusher {
            user: UserNid(row.user),
        },
        Kind::Presence(row) => Row::Presence(presence_from_proto(row)?),
        Kind::Typing(row) => Row::Typing {
            room: RoomNid(row.room),
            users: row.users.into_iter().map(UserNid).collect(),
        },
    })
}

fn purged_to_proto(room: RoomNid, events: &[EventNid], whole: bool) -> proto::PurgedRow {
    proto::PurgedRow {
        room: room.0,
        events: events.iter().map(|event| event.0).collect(),
        whole,
    }
}

fn purged_from_proto(row: proto::PurgedRow) -> Row {
    Row::Purged {
        room: RoomNid(row.room),
        events: row.events.into_iter().map(EventNid).collect(),
        whole: row.whole,
    }
}

fn presence_to_proto(row: &PresenceRow) -> proto::PresenceRow {
    proto::PresenceRow {
        user: row.user.0,
        state: row.state.code(),
        status_msg: row.status_msg.clone(),
        last_active_ms: row.last_active_ms,
        currently_active: row.currently_active,
    }
}

fn presence_from_proto(row: proto::PresenceRow) -> Result<PresenceRow, RowError> {
    Ok(PresenceRow {
        user: UserNid(row.user),
        state: PresenceState::from_code(row.state).ok_or(RowError::Unknown)?,
        status_msg: row.status_msg,
        last_active_ms: row.last_active_ms,
        currently_active: row.currently_active,
    })
}

fn event_to_proto(row: &EventRow, bodies: bool) -> proto::EventRow {
    let body = row.body.as_ref().filter(|_| bodies).and_then(body::to_proto);
    let auth_parents = row.auth_parents.iter().filter(|_| body.is_some());
    proto::EventRow {
        event: row.event.0,
        room: row.room.0,
        sender: row.sender.0,
        room_order: row.room_order,
        state_key: row.state_key.map(|nid| nid.0),
        state_before: row.state_before.0,
        state_after: (row.state_after != row.room_root).then_some(row.state_after.0),
        room_root: row.room_root.0,
        auth_parents: auth_parents
            .flat_map(|parents| parents.iter().map(|parent| parent.0))
            .collect(),
        notifying: row.notifying,
        membership: row.membership.map(|(user, membership)| proto::MembershipChange {
            user: user.0,
            membership: membership.code(),
        }),
        body,
        was_outlier: row.was_outlier,
        outgoing: row.outgoing,
        transaction: row.transaction.as_deref().map(|transaction| proto::Transaction {
            device_id: transaction.device.as_str().into(),
            id: transaction.id.clone(),
        }),
    }
}

fn event_from_proto(row: proto::EventRow) -> Result<EventRow, RowError> {
    let membership = row
        .membership
        .map(|change| {
            let membership = Membership::from_code(change.membership).ok_or(RowError::Unknown)?;
            Ok((UserNid(change.user), membership))
        })
        .transpose()?;
    let body = row.body.and_then(body::from_proto);
    // A state event that names none is allowed by none; without the body nothing is said of it.
    let says_parents = body.is_some() && row.state_key.is_some();
    let auth_parents = says_parents.then(|| row.auth_parents.into_iter());
    Ok(EventRow {
        event: EventNid(row.event),
        room: RoomNid(row.room),
        sender: UserNid(row.sender),
        room_order: row.room_order,
        state_key: row.state_key.map(StateKeyNid),
        state_before: NodeId(row.state_before),
        state_after: NodeId(row.state_after.unwrap_or(row.room_root)),
        room_root: NodeId(row.room_root),
        auth_parents: auth_parents.map(|parents| parents.map(EventNid).collect()),
        notifying: row.notifying,
        membership,
        transaction: row.transaction.map(|transaction| {
            Arc::new(Transaction {
                device: transaction.device_id.into(),
                id: transaction.id,
            })
        }),
        was_outlier: row.was_outlier,
        outgoing: row.outgoing,
        body: body.map(Arc::new),
    })
}

fn state_to_proto(row: &StateRow) -> proto::StateRow {
    let memberships = row.memberships.iter();
    proto::StateRow {
        room: row.room.0,
        memberships: memberships
            .map(|(user, membership, event)| proto::StateMembership {
                user: user.0,
                membership: membership.code(),
                event: event.0,
            })
            .collect(),
    }
}

fn state_from_proto(row: proto::StateRow) -> Result<StateRow, RowError> {
    let memberships = row.memberships.into_iter().map(|change| {
        let membership = Membership::from_code(change.membership).ok_or(RowError::Unknown)?;
        Ok((UserNid(change.user), membership, EventNid(change.event)))
    });
    Ok(StateRow {
        room: RoomNid(row.room),
        memberships: memberships.collect::<Result<_, _>>()?,
    })
}

fn receipt_from_proto(row: proto::ReceiptRow) -> Result<ReceiptRow, RowError> {
    Ok(ReceiptRow {
        room: RoomNid(row.room),
        user: UserNid(row.user),
        kind: ReceiptKind::from_code(row.kind).ok_or(RowError::Unknown)?,
        thread: row.thread,
        event_id: EventId::parse(row.event_id).map_err(|_| RowError::Invalid("a receipt's event id"))?,
        ts_ms: row.ts_ms,
    })
}
