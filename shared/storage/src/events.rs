//! Table `events`: every event, with what the server knows about it.
//!
//! What is read here may be newer than the position the reader has fixed: who answers at a position looks at [`StoredEvent::position`].

mod cache;
mod graph;
mod id;
mod read;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use bytes::Bytes;
use plexus_core::{
    event::EventBody,
    ids::{EventNid, NodeId, RoomNid, StateKeyNid, UserNid},
    position::Sequence,
    room_version::RoomVersion,
    row::{EventRow, EventStatus, Membership, Transaction},
};

use crate::{
    db::{Statement, Value},
    sql::{Int as _, bytes, one_row, opt_bytes, opt_int, opt_text},
};

pub(crate) use self::cache::Events;
use self::{graph::encode_nids, id::apart};
pub use self::{
    id::event_id_bytes,
    read::{Direction, EVENTS_PER_PAGE_MAX},
};

/// What an event takes up in memory besides its JSON, about: its fields, and the ids of the events it refers to.
const EVENT_BYTES: u64 = 900;

/// An event as it is stored. What the log may change of it is as new as the rows this process has applied, or newer.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// The number that stands for it.
    pub nid: EventNid,
    /// Its room.
    pub room: RoomNid,
    /// Who sent it.
    pub sender: UserNid,
    /// Its place in the log: when it is new. 0 for history that was fetched later, which is news to nobody.
    pub position: Sequence,
    /// Its place in the room's timeline; none for an outlier.
    pub room_order: Option<i64>,
    /// The state it sets, for a state event.
    pub state_key: Option<StateKeyNid>,
    /// What became of it.
    pub status: EventStatus,
    /// The state before it, on its own branch of the room's history.
    pub state_before: NodeId,
    /// The state after it, on its own branch.
    pub state_after: NodeId,
    /// The room's state once it is in: that of all branches.
    pub room_root: NodeId,
    /// For a state event, the events that allow it. A row of an older build does not say.
    pub auth_parents: Option<Arc<[EventNid]>>,
    /// How many events of the room, up to this one, notify everybody by the rules all users begin with.
    pub notifying: i64,
    /// The redaction that took its content.
    pub redacted_by: Option<EventNid>,
    /// The client transaction that sent it.
    pub transaction: Option<Arc<Transaction>>,
    /// The event itself; once it is redacted, what is left of it.
    pub body: Arc<EventBody>,
}

impl StoredEvent {
    /// The event a published row tells of, with its body.
    pub(crate) fn from_row(row: &EventRow, position: Sequence, body: &Arc<EventBody>) -> Self {
        Self {
            nid: row.event,
            room: row.room,
            sender: row.sender,
            position,
            room_order: Some(row.room_order),
            state_key: row.state_key,
            status: EventStatus::Accepted,
            state_before: row.state_before,
            state_after: row.state_after,
            room_root: row.room_root,
            auth_parents: row.auth_parents.clone(),
            notifying: row.notifying,
            redacted_by: None,
            transaction: row.transaction.clone(),
            body: Arc::clone(body),
        }
    }

    /// The event once `redacted_by` has redacted it.
    pub(crate) fn redacted(&self, redacted_by: EventNid, version: RoomVersion) -> Self {
        let body = Arc::new(self.body.redacted(version.rules()));
        Self {
            redacted_by: Some(redacted_by),
            body,
            ..self.clone()
        }
    }

    /// Whether it is kept apart from the events of its room, which this server was not in when it came: what allows it is not known here.
    pub fn is_apart(&self) -> bool {
        let has_parents = self.auth_parents.as_ref().is_none_or(|parents| !parents.is_empty());
        self.status == EventStatus::Outlier && !has_parents && !self.body.auth_events().is_empty()
    }

    /// What it takes up in memory, about.
    pub(crate) fn weight(&self) -> u64 {
        EVENT_BYTES + self.body.json().len() as u64
    }
}

/// An event to be stored.
#[derive(Clone, Debug)]
pub struct NewEventRow {
    /// The number that stands for it.
    pub nid: EventNid,
    /// Its room.
    pub room: RoomNid,
    /// The room's version.
    pub version: RoomVersion,
    /// Who sent it.
    pub sender: UserNid,
    /// Its place in the room's timeline; none for an outlier.
    pub room_order: Option<i64>,
    /// The state it sets, for a state event.
    pub state_key: Option<StateKeyNid>,
    /// What became of it.
    pub status: EventStatus,
    /// The state before it, on its own branch of the room's history.
    pub state_before: NodeId,
    /// The state after it, on its own branch.
    pub state_after: NodeId,
    /// The room's state once it is in: that of all branches.
    pub room_root: NodeId,
    /// For a state event, the events that allow it. A row of an older build does not say.
    pub auth_parents: Option<Arc<[EventNid]>>,
    /// How many events of the room, up to this one, notify everybody by the rules all users begin with.
    pub notifying: i64,
    /// The client transaction that sent it.
    pub transaction: Option<Arc<Transaction>>,
    /// Why it was rejected, if it was.
    pub rejected_for: Option<String>,
    /// Whether it is for this server to send the event to the others in its room.
    pub outgoing: bool,
    /// The event itself.
    pub body: Arc<EventBody>,
}

impl NewEventRow {
    /// The row of the log that tells of it, if it has a place in the timeline.
    pub fn log_row(&self, membership: Option<(UserNid, Membership)>) -> Option<EventRow> {
        Some(EventRow {
            event: self.nid,
            room: self.room,
            sender: self.sender,
            room_order: self.room_order?,
            state_key: self.state_key,
            state_before: self.state_before,
            state_after: self.state_after,
            room_root: self.room_root,
            notifying: self.notifying,
            membership,
            transaction: self.transaction.clone(),
            auth_parents: self.auth_parents.clone(),
            was_outlier: false,
            outgoing: self.outgoing,
            body: Some(Arc::clone(&self.body)),
        })
    }
}

/// Stores an event.
pub fn insert(event: &NewEventRow, position: Value) -> Statement {
    insert_as(event, column_of(event), position)
}

/// Stores an event of a room that this server is not in: apart from those of the room, among which the same one may come later.
pub fn insert_apart(event: &NewEventRow, position: Value) -> Statement {
    insert_as(event, apart(&column_of(event)), position)
}

fn column_of(event: &NewEventRow) -> Bytes {
    let id = event.body.event_id();
    event_id_bytes(event.version, id).unwrap_or_else(|| Bytes::copy_from_slice(id.as_bytes()))
}

fn insert_as(event: &NewEventRow, id: Bytes, position: Value) -> Statement {
    let transaction = event.transaction.as_deref();
    one_row(
        "-- events::insert
        INSERT INTO events (event_nid, event_id, room_nid, position, room_order, sender_nid, state_key_nid, state_before,
            room_root, transaction_device, transaction_id, json, notifying, status, state_after, auth_parents, rejected_for, outgoing)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        [
            event.nid.int(),
            Value::Bytes(id),
            event.room.int(),
            position,
            opt_int(event.room_order),
            event.sender.int(),
            opt_int(event.state_key.map(|key| key.0)),
            event.state_before.int(),
            event.room_root.int(),
            opt_text(transaction.map(|transaction| transaction.device.as_str())),
            opt_text(transaction.map(|transaction| transaction.id.as_str())),
            bytes(event.body.json().as_bytes()),
            event.notifying.int(),
            event.status.code().int(),
            opt_int((event.state_after != event.room_root).then_some(event.state_after.0)),
            opt_bytes(event.auth_parents.as_deref().map(encode_nids).as_deref()),
            opt_text(event.rejected_for.as_deref()),
            Value::Bool(event.outgoing),
        ],
    )
}

/// Gives an outlier its place.
pub fn give_place(event: &NewEventRow, position: Value) -> Statement {
    one_row(
        "-- events::give_place
        UPDATE events SET position = $2, room_order = $3, status = $4, state_before = $5, state_after = $6, room_root = $7,
            notifying = $8, rejected_for = $9, outgoing = $10 WHERE event_nid = $1 AND status IN (1, 3)",
        [
            event.nid.int(),
            position,
            opt_int(event.room_order),
            event.status.code().int(),
            event.state_before.int(),
            opt_int((event.state_after != event.room_root).then_some(event.state_after.0)),
            event.room_root.int(),
            event.notifying.int(),
            opt_text(event.rejected_for.as_deref()),
            Value::Bool(event.outgoing),
        ],
    )
}

/// The states that an event names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct States {
    /// The state before it, on its own branch.
    pub before: NodeId,
    /// The state after it, on its own branch.
    pub after: NodeId,
    /// The room's state once it is in.
    pub room_root: NodeId,
}

/// Sets right what became of an event and where it leads; and what allows it, if that is given.
pub fn set_right(
    event: EventNid,
    status: EventStatus,
    room_order: Option<i64>,
    roots: States,
    auth_parents: Option<&[EventNid]>,
) -> Statement {
    one_row(
        "-- events::set_right
        UPDATE events SET status = $2, room_order = $3, state_before = $4, state_after = $5, room_root = $6,
            auth_parents = COALESCE($7, auth_parents) WHERE event_nid = $1",
        [
            event.int(),
            status.code().int(),
            opt_int(room_order),
            roots.before.int(),
            opt_int((roots.after != roots.room_root).then_some(roots.after.0)),
            roots.room_root.int(),
            opt_bytes(auth_parents.map(encode_nids).as_deref()),
        ],
    )
}

/// Takes the content of an event; `redacted` is what is left of it.
pub fn redact(event: EventNid, redacted_by: EventNid, redacted: &EventBody) -> Statement {
    one_row(
        "-- events::redact
        UPDATE events SET redacted_by = $2, json = $3 WHERE event_nid = $1",
        [event.int(), redacted_by.int(), bytes(redacted.json().as_bytes())],
    )
}
