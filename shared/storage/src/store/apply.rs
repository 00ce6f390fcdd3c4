//! What a log row does to the caches.

use std::sync::Arc;

use plexus_core::{
    ids::{EventNid, RoomNid},
    position::{Epoch, Sequence, WriterId},
    row::{EventRow, Row},
};

use super::{Caches, Store};
use crate::{events::StoredEvent, memberships::RoomMembership};

impl Store {
    /// Corrects the caches by one row of the log: the only place that changes what is kept of changing things.
    ///
    /// Rows come in the order of their chain and without a gap, and before anybody is told that this process has reached `sequence`. What is not in the
    /// row is forgotten, never read here.
    pub fn apply(&self, _writer: WriterId, epoch: Epoch, sequence: Sequence, row: &Row) {
        let caches = self.caches();
        match row {
            Row::Event(event) => caches.apply_event(sequence, event),
            Row::Redaction {
                room,
                event,
                redacted_by,
            } => {
                caches.apply_redaction(*room, *event, *redacted_by);
                caches.changes.change(*room, sequence);
            }
            Row::Account { user } => {
                caches.accounts.forget(user);
                caches.sessions.forget(*user);
                caches.changes.reach(sequence);
            }
            Row::Device { user, .. } => {
                caches.sessions.forget(*user);
                caches.changes.reach(sequence);
            }
            Row::Profile { user } => {
                caches.profiles.forget(user);
                caches.changes.reach(sequence);
            }
            Row::Receipt(receipt) => {
                caches.receipts.put(receipt, sequence);
                caches.changes.change(receipt.room, sequence);
            }
            Row::AccountData { user, room, kind } => {
                caches.account_data.change(*user, *room, kind, sequence);
                caches.changes.reach(sequence);
            }
            Row::DeviceList { .. }
            | Row::KeyCounts { .. }
            | Row::ToDevice { .. }
            | Row::Room { .. }
            | Row::Forgotten { .. } => caches.changes.reach(sequence),
            Row::Pusher { .. } => {
                caches.changes.reach(sequence);
                caches.pushers_changed.send_replace(sequence);
            }
            Row::Presence(_) => {}
            // On a chain of its own, whose places mean nothing to the rest.
            Row::Typing { room, users } => caches.typing.change(epoch, sequence, *room, users),
        }
    }
}

impl Caches {
    fn apply_event(&self, position: Sequence, row: &EventRow) {
        if let Some(body) = &row.body {
            let event = Arc::new(StoredEvent::from_row(row, position, body));
            if let (Some(nid), Some(state_key)) = (row.state_key, body.state_key()) {
                self.state_keys.keep(nid, body.kind(), state_key);
            }
            self.events.insert(Arc::clone(&event));
            self.timelines.push(&event);
        } else {
            if row.state_key.is_some() {
                self.state_keys.forget_all();
            }
            self.timelines.forget(&row.room);
        }
        if let Some((user, membership)) = row.membership {
            self.memberships.change(
                user,
                row.room,
                RoomMembership {
                    membership,
                    event: row.event,
                    position,
                },
            );
        }
        // Last: who sees that the room has changed must find the change.
        self.changes.change(row.room, position);
    }

    fn apply_redaction(&self, room: RoomNid, event: EventNid, redacted_by: EventNid) {
        // What a redaction leaves depends on the room's version. A room whose version is not at hand is rare: its events are read again.
        let version = self.rooms.kept(room).map(|info| info.version);
        self.events
            .redact(event, |kept| version.map(|version| kept.redacted(redacted_by, version)));
        match version {
            Some(version) => self
                .timelines
                .redact(room, event, |kept| kept.redacted(redacted_by, version)),
            None => self.timelines.forget(&room),
        }
    }
}
