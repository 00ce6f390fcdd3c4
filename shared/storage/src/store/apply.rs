//! What a log row does to the caches.

use std::sync::Arc;

use plexus_core::{
    ids::{EventNid, RoomNid, UserNid},
    position::{Epoch, Sequence, WriterId},
    row::{EventRow, Row, StateRow},
};
use ruma::{DeviceId, UserId};

use super::{Caches, Store};
use crate::{
    events::StoredEvent, key_counts::DeviceKey, member_changes::MemberChange, memberships::RoomMembership,
    outgoing::OutgoingChange,
};

impl Store {
    /// Corrects the caches by one row of the log: the only place that changes what is kept of changing things.
    ///
    /// Rows come in the order of their chain and without a gap, and before anybody is told that this process has reached `sequence`. What is not in the
    /// row is forgotten, never read here.
    pub fn apply(&self, writer: WriterId, epoch: Epoch, sequence: Sequence, row: &Row) {
        let caches = self.caches();
        if writer == WriterId::MASTER {
            caches.reach(sequence);
        }
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
            }
            Row::Device { user, device, deleted } => {
                caches.sessions.forget(*user);
                caches.forget_device(*user, device);
                if *deleted {
                    caches.pushers_changed.send_replace(sequence);
                }
            }
            Row::Profile { user } => caches.profiles.forget(user),
            Row::Receipt(receipt) => {
                caches.receipts.put(receipt, sequence);
                caches.changes.change(receipt.room, sequence);
            }
            Row::AccountData { user, room, kind } => caches.account_data.change(*user, *room, kind, sequence),
            Row::State(row) => caches.apply_state(sequence, row),
            Row::Partial { room } => {
                caches.partial_rooms.forget(&());
                caches.room_servers.forget(*room);
                caches.changes.change(*room, sequence);
            }
            // The pair of a state event is not in the row, and somebody may have asked for it in vain.
            Row::Unlisted { .. } => caches.state_keys.forget_absent(),
            // Nothing is kept of these.
            Row::Room { .. } | Row::OutgoingToDevice { .. } => {}
            Row::Forgotten { user, room } => caches.memberships.forget(*user, *room),
            Row::Purged { room, events, whole } => caches.apply_purge(*room, events, *whole),
            Row::Pusher { .. } => {
                caches.pushers_changed.send_replace(sequence);
            }
            Row::DeviceList { user } => caches.device_lists.push(sequence, (*user, None)),
            Row::KeyView { user, viewer } => caches.device_lists.push(sequence, (*user, Some(*viewer))),
            Row::KeyCounts { user, device } => caches.apply_key_counts(sequence, (*user, device.clone())),
            Row::ToDevice { user, device } => caches.to_device.forget(&(*user, device.clone())),
            // On a chain of their own, whose places mean nothing to the rest.
            Row::Presence(row) => {
                caches.typing.reach(epoch, sequence);
                caches.presence.change(epoch, sequence, row);
                caches.outgoing.wake();
            }
            Row::Typing { room, users } => {
                caches.presence.reach(epoch, sequence);
                caches.typing.change(epoch, sequence, *room, users);
                caches.outgoing.wake();
            }
        }
        // Last: who is woken by it must find the rest.
        if let Some(change) = OutgoingChange::of_row(row) {
            caches.outgoing.push(sequence, change);
        }
    }
}

impl Caches {
    /// The master's chain has come to this place: what is not remembered from there on has not happened.
    fn reach(&self, sequence: Sequence) {
        self.changes.reach(sequence);
        self.device_lists.reach(sequence);
        self.key_counts_changes.reach(sequence);
        self.member_changes.reach(sequence);
        self.outgoing.reach(sequence);
    }

    fn apply_key_counts(&self, sequence: Sequence, device: DeviceKey) {
        self.key_counts.forget(&device);
        self.key_counts_changes.push(sequence, device);
    }

    /// A device is new, or gone: what was kept of one with its id is of another.
    fn forget_device(&self, user: UserNid, device: &DeviceId) {
        let key = (user, device.to_owned());
        self.key_counts.forget(&key);
        self.to_device.forget(&key);
    }

    fn apply_event(&self, position: Sequence, row: &EventRow) {
        self.parents.persisted(row.body.as_deref(), position);
        if row.was_outlier {
            self.events.forget(row.event);
        }
        if let Some(body) = &row.body {
            let event = Arc::new(StoredEvent::from_row(row, position, body));
            if let (Some(nid), Some(state_key)) = (row.state_key, body.state_key()) {
                self.state_keys.keep(nid, body.kind(), state_key);
            }
            self.events.insert(Arc::clone(&event));
            self.timelines.push(&event);
        } else {
            if row.state_key.is_some() {
                self.state_keys.forget_absent();
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
                    forgotten: false,
                },
            );
            // After what it is made of.
            let server_of = || {
                let target: Result<&UserId, _> = row.body.as_ref()?.state_key()?.try_into();
                target.ok().map(|target| target.server_name().to_owned())
            };
            self.room_servers.change((row.room, position), (user, membership), || {
                server_of().or_else(|| self.users.kept_server(user))
            });
        }
        if let Some(change) = MemberChange::of_row(row, position) {
            self.member_changes.push(position, change);
        }
        // Last: who sees that the room has changed must find the change.
        self.changes.change(row.room, position);
    }

    /// Events are gone. What is kept by state root or node stays: neither is ever another one.
    fn apply_purge(&self, room: RoomNid, events: &[EventNid], whole: bool) {
        self.events.purge(events);
        self.timelines.forget(&room);
        if whole {
            self.memberships.forget_room(room);
            self.room_servers.forget(room);
            self.receipts.forget(&room);
            self.account_data.forget_entries();
        }
    }

    fn apply_state(&self, position: Sequence, row: &StateRow) {
        for (user, membership, event) in &row.memberships {
            let entry = RoomMembership {
                membership: *membership,
                event: *event,
                position,
                forgotten: false,
            };
            self.memberships.change(*user, row.room, entry);
            self.room_servers
                .change((row.room, position), (*user, *membership), || {
                    self.users.kept_server(*user)
                });
            let change = MemberChange::by_resolution(row.room, *user, *membership, position);
            self.member_changes.push(position, change);
        }
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
