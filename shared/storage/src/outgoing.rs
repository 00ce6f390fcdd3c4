//! What other servers may have to be told of, in the order of the log: the latest of it in memory, so that a sender asks the database only when it has been
//! away for long.

use plexus_core::{
    ids::{EventNid, RoomNid, UserNid},
    position::Sequence,
    row::{Membership, ReceiptKind, ReceiptRow, Row},
};
use ruma::OwnedServerName;
use tokio::sync::watch;

use crate::{Store, StoreError, db::Value, recent::Recent, sql::Int as _};

/// Most changes that are remembered in memory.
const RECENT_MAX: usize = 8_192;

/// Something that other servers may have to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutgoingChange {
    /// An event that is this server's to send.
    Event {
        /// The event.
        event: EventNid,
        /// Its room.
        room: RoomNid,
        /// Whose membership it changes.
        member: Option<(UserNid, Membership)>,
    },
    /// A public receipt, of a local user or of another.
    Receipt(Box<ReceiptRow>),
    /// What others see of a user's devices or keys changed.
    DeviceList(UserNid),
    /// Messages wait for the devices of a server's users.
    ToDevice(OwnedServerName),
}

impl OutgoingChange {
    /// What a row of the log says to other servers, if anything.
    pub fn of_row(row: &Row) -> Option<Self> {
        match row {
            Row::Event(event) => event.outgoing.then_some(Self::Event {
                event: event.event,
                room: event.room,
                member: event.membership,
            }),
            Row::Receipt(receipt) => {
                (receipt.kind == ReceiptKind::Read).then(|| Self::Receipt(Box::new(receipt.clone())))
            }
            Row::DeviceList { user } => Some(Self::DeviceList(*user)),
            Row::OutgoingToDevice { server } => Some(Self::ToDevice(server.clone())),
            Row::Redaction { .. }
            | Row::Account { .. }
            | Row::Device { .. }
            | Row::Profile { .. }
            | Row::AccountData { .. }
            | Row::KeyView { .. }
            | Row::KeyCounts { .. }
            | Row::ToDevice { .. }
            | Row::State(_)
            | Row::Partial { .. }
            | Row::Unlisted { .. }
            | Row::Room { .. }
            | Row::Forgotten { .. }
            | Row::Purged { .. }
            | Row::Pusher { .. }
            | Row::Presence(_)
            | Row::Typing { .. } => None,
        }
    }
}

/// The latest changes, and who waits for more.
#[derive(Debug)]
pub(crate) struct OutgoingChanges {
    recent: Recent<OutgoingChange>,
    changed: watch::Sender<()>,
}

impl OutgoingChanges {
    pub(crate) fn new() -> Self {
        Self {
            recent: Recent::new(RECENT_MAX),
            changed: watch::Sender::default(),
        }
    }

    pub(crate) fn reach(&self, position: Sequence) {
        self.recent.reach(position);
    }

    pub(crate) fn push(&self, position: Sequence, change: OutgoingChange) {
        self.recent.push(position, change);
        self.wake();
    }

    /// There may be something new, here or on the ephemeral chain.
    pub(crate) fn wake(&self) {
        self.changed.send_replace(());
    }

    pub(crate) fn forget_all(&self) {
        self.recent.forget_all();
        self.wake();
    }
}

impl Store {
    /// Wakes when there may be something to tell other servers.
    pub fn outgoing_changed(&self) -> watch::Receiver<()> {
        self.caches().outgoing.changed.subscribe()
    }

    /// What other servers may have to be told of in (after, `up_to`], in the order of the log; none if that is no longer remembered.
    pub fn outgoing_between(&self, after: Sequence, up_to: Sequence) -> Option<Vec<(Sequence, OutgoingChange)>> {
        self.caches().outgoing.recent.between(after, up_to)
    }

    /// The newest events of a room in (after, `up_to`] that are this server's to send, with their places, newest first.
    pub async fn outgoing_events(
        &self,
        room: RoomNid,
        after: Sequence,
        up_to: Sequence,
        limit: i64,
    ) -> Result<Vec<(Sequence, EventNid)>, StoreError> {
        let sql = "-- outgoing::events
            SELECT position, event_nid FROM events
            WHERE room_nid = $1 AND position > $2 AND position <= $3 AND outgoing = $4 AND room_order IS NOT NULL
            ORDER BY position DESC LIMIT $5";
        let params = [room.int(), after.int(), up_to.int(), Value::Bool(true), limit.int()];
        let rows = self.db().query(sql, &params).await?;
        rows.iter()
            .map(|row| Ok((row.int(0)?, EventNid(row.int(1)?))))
            .collect()
    }
}
