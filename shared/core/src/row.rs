//! What the log is made of: frames of rows.
//!
//! A row names what changed, so that a cache can be corrected and a waiting client woken. What changed is in the tables by the time a reader sees the
//! row. Rows and the position they lead to travel together in a [`Frame`], and the frame says which position it follows.

use std::sync::Arc;

use ruma::{OwnedDeviceId, OwnedEventId, OwnedServerName};

pub use crate::event::Membership;
use crate::{
    event::EventBody,
    ids::{EventNid, NodeId, RoomNid, StateKeyNid, UserNid},
    position::{Epoch, Sequence, WriterId},
};

/// A commit of one writer: the rows that lead from `previous` to `position`.
///
/// Row `i` has sequence `previous + 1 + i`, so `position - previous` is the number of rows; a heartbeat is a frame without rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Whose chain this is.
    pub writer: WriterId,
    /// The writer's term.
    pub epoch: Epoch,
    /// The place on the chain this frame follows. A reader that is not there has a gap.
    pub previous: Sequence,
    /// The place on the chain this frame leads to.
    pub position: Sequence,
    /// What changed, in order.
    pub rows: Vec<Row>,
}

impl Frame {
    /// The rows with the sequence of each.
    pub fn numbered_rows(&self) -> impl Iterator<Item = (Sequence, &Row)> {
        (self.previous + 1..).zip(&self.rows)
    }
}

/// One change of ordered data.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// An event was persisted.
    Event(EventRow),
    /// An event was redacted: its body is now the redacted form.
    Redaction {
        /// The room of both events.
        room: RoomNid,
        /// The event that lost its content.
        event: EventNid,
        /// The redaction.
        redacted_by: EventNid,
    },
    /// An account was created or changed (password, admin, deactivated).
    Account {
        /// Whose account.
        user: UserNid,
    },
    /// A device was created, renamed or deleted, and its access tokens with it.
    Device {
        /// Whose device.
        user: UserNid,
        /// Which device.
        device: OwnedDeviceId,
        /// Whether it is gone, with every access token it had.
        deleted: bool,
    },
    /// A user's profile changed.
    Profile {
        /// Whose profile.
        user: UserNid,
    },
    /// A read receipt moved.
    Receipt(ReceiptRow),
    /// A user's account data changed: of a type, of a room or of none. Tags and push rules are account data too.
    AccountData {
        /// Whose.
        user: UserNid,
        /// The room it belongs to; none if it is the user's own.
        room: Option<RoomNid>,
        /// Its type.
        kind: String,
    },
    /// What others may see of a user's devices and keys changed.
    DeviceList {
        /// Whose devices.
        user: UserNid,
    },
    /// What one user alone sees of somebody's keys changed: signatures he has made, or his own user-signing key.
    KeyView {
        /// Whose keys.
        user: UserNid,
        /// Who sees it.
        viewer: UserNid,
    },
    /// A device's supply of one-time or fallback keys changed.
    KeyCounts {
        /// Whose device.
        user: UserNid,
        /// Which device.
        device: OwnedDeviceId,
    },
    /// Messages wait for a device, or some were taken away.
    ToDevice {
        /// Whose device.
        user: UserNid,
        /// Which device.
        device: OwnedDeviceId,
    },
    /// Messages to devices of another server's users wait to be sent there.
    OutgoingToDevice {
        /// Which server.
        server: OwnedServerName,
    },
    /// The state of a room changed by more than the events of the same frame say: branches of its history were brought together.
    State(StateRow),
    /// An event was stored that no timeline shows: an outlier, or one that was rejected or soft-failed.
    Unlisted {
        /// Its room.
        room: RoomNid,
        /// The event.
        event: EventNid,
    },
    /// It changed whether all of a room's state is here.
    Partial {
        /// Which room.
        room: RoomNid,
    },
    /// What is kept of a room besides its events changed: its aliases, its place in the directory.
    Room {
        /// Which room.
        room: RoomNid,
    },
    /// A user has forgotten a room he is not in.
    Forgotten {
        /// Who.
        user: UserNid,
        /// Which room.
        room: RoomNid,
    },
    /// Events of a room are gone, or are no longer in its timeline: of some its history was purged, of all the room was deleted.
    Purged {
        /// Which room.
        room: RoomNid,
        /// Which events, as far as this row tells; a deletion tells them in the rows before its last.
        events: Vec<EventNid>,
        /// Whether the room is deleted, and this the end of it: nothing that was kept of it holds any more.
        whole: bool,
    },
    /// A user's pushers changed.
    Pusher {
        /// Whose.
        user: UserNid,
    },
    /// A user came, went, or said what he is doing. Only on the ephemeral chain.
    Presence(PresenceRow),
    /// Who is typing in a room changed: the whole set. Only on the ephemeral chain.
    Typing {
        /// The room.
        room: RoomNid,
        /// Everybody who is typing now.
        users: Vec<UserNid>,
    },
}

/// An event joined a room's history.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRow {
    /// The event.
    pub event: EventNid,
    /// Its room.
    pub room: RoomNid,
    /// Who sent it.
    pub sender: UserNid,
    /// Its place in the room's timeline.
    pub room_order: i64,
    /// The state it sets, for a state event.
    pub state_key: Option<StateKeyNid>,
    /// The state before the event, on its own branch of the room's history.
    pub state_before: NodeId,
    /// The state after the event, on its own branch.
    pub state_after: NodeId,
    /// The room's state once the event is in: that of all branches.
    pub room_root: NodeId,
    /// How many events of the room, up to this one, notify everybody by the rules all users begin with.
    pub notifying: i64,
    /// Whose membership it changes, for a member event that is part of the room's state now.
    pub membership: Option<(UserNid, Membership)>,
    /// The client transaction that sent it, which sync tells the sending device.
    pub transaction: Option<Arc<Transaction>>,
    /// Whether it was stored before, as an outlier: what is kept of it is not so any more.
    pub was_outlier: bool,
    /// Whether it is for this server to send the event to the others in its room.
    pub outgoing: bool,
    /// For a state event, the events that allow it. Published with the body, not stored with the log.
    pub auth_parents: Option<Arc<[EventNid]>>,
    /// The event itself. Published with the row so that readers need not fetch it; the stored log does not have it.
    pub body: Option<Arc<EventBody>>,
}

/// What became of an event. The discriminants are what the database holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EventStatus {
    /// Part of the room's history.
    #[default]
    Accepted = 0,
    /// The authorization rules refuse it: it changes nothing, and what names it as allowing it is rejected as well.
    Rejected = 1,
    /// Allowed where it stands, but not by the room's state when it came: part of the graph, shown to nobody.
    SoftFailed = 2,
    /// Known by itself, allowed by its auth events, without a place in the history that this server has.
    Outlier = 3,
}

impl EventStatus {
    /// The number the database holds.
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// Reads the number the database holds.
    pub fn from_code(code: i64) -> Option<Self> {
        [Self::Accepted, Self::Rejected, Self::SoftFailed, Self::Outlier]
            .into_iter()
            .find(|status| status.code() == code)
    }
}

/// The state of a room was resolved anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRow {
    /// The room.
    pub room: RoomNid,
    /// Who is something else to the room by it, and the member event that says so.
    pub memberships: Vec<(UserNid, Membership, EventNid)>,
}

/// What a user is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceRow {
    /// Who.
    pub user: UserNid,
    /// Whether he is there.
    pub state: PresenceState,
    /// What he says about it.
    pub status_msg: Option<String>,
    /// When he was last seen doing something, in milliseconds since the epoch.
    pub last_active_ms: i64,
    /// Whether he is doing something now.
    pub currently_active: bool,
}

/// The states of presence. The discriminants are what the log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PresenceState {
    /// Not there.
    Offline = 0,
    /// There, and doing something.
    Online = 1,
    /// There, and doing nothing.
    Unavailable = 2,
}

impl PresenceState {
    /// The number the log holds.
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// Reads the number the log holds.
    pub fn from_code(code: i64) -> Option<Self> {
        [Self::Offline, Self::Online, Self::Unavailable]
            .into_iter()
            .find(|state| state.code() == code)
    }
}

/// A client's name for a request that it may repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The device that made the request; transaction ids are its own.
    pub device: OwnedDeviceId,
    /// The client's id.
    pub id: String,
}

/// A user's newest receipt in a room, or in a thread of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptRow {
    /// The room.
    pub room: RoomNid,
    /// The reader.
    pub user: UserNid,
    /// Public or private.
    pub kind: ReceiptKind,
    /// `main`, the thread's root, or nothing for a receipt without a thread.
    pub thread: Option<String>,
    /// The event read.
    pub event_id: OwnedEventId,
    /// When it was read, in milliseconds since the epoch.
    pub ts_ms: i64,
}

/// The receipt types that are stored as receipts. The discriminants are what the database and the log hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReceiptKind {
    /// `m.read`: everybody in the room sees it.
    Read = 1,
    /// `m.read.private`: only the reader's own devices see it.
    ReadPrivate = 2,
}

impl ReceiptKind {
    /// The number the database and the log hold.
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// Reads the number the database and the log hold.
    pub fn from_code(code: i64) -> Option<Self> {
        [Self::Read, Self::ReadPrivate]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}
