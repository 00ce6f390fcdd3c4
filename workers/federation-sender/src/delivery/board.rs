//! What waits for which destination, and how far each bucket of them is. No I/O and no clock: whoever calls reads and writes.
//!
//! A destination is in one of three conditions. Of most, nothing waits, and nothing is kept. For one that takes what it is given, changes wait in queues. One
//! that lags has, once a row of the database says so, only that row and an entry here: what it has missed is read from the tables when it is back.
//!
//! A bucket's cursor is before everything that waits in the queues of its destinations; what a row speaks for does not hold it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use plexus_core::{
    ids::{EventNid, RoomNid, UserNid},
    position::Sequence,
    row::{PresenceRow, ReceiptRow},
};
use plexus_storage::delivery::Lag;
use ruma::{OwnedServerName, ServerName};

/// How many buckets there are. The database's cursors are of these: another number means other buckets.
pub(super) const BUCKETS: u16 = 256;
/// Events in one transaction.
pub(super) const PDUS_MAX: usize = 50;
/// EDUs in one transaction.
pub(super) const EDUS_MAX: usize = 100;
/// Most events, and most EDUs that must not be lost, that wait for one destination in memory. Beyond, it lags.
const QUEUED_MAX: usize = 10_000;
/// Most EDUs of the moment that wait for one destination; beyond, the oldest are dropped.
const PASSING_MAX: usize = 500;
/// How far a cursor may be behind when nothing was delivered: so much of the log is looked at again after a restart.
const CURSOR_LAG_MAX: Sequence = 5_000;

/// Which bucket a destination belongs to: the same for every process and release (FNV-1a, folded).
pub(super) fn bucket_of(server: &ServerName) -> u16 {
    let hash = server.as_bytes().iter().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    u16::try_from((hash ^ (hash >> 8) ^ (hash >> 16) ^ (hash >> 24)) & 0xff).unwrap_or_default()
}

/// An event to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pdu {
    pub(super) position: Sequence,
    pub(super) event: EventNid,
}

/// What has a place in the log and must not be lost.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Edu {
    pub(super) position: Sequence,
    pub(super) what: Lasting,
}

/// The kinds of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Lasting {
    Receipt(Arc<ReceiptRow>),
    /// A change of a device of a user's, by its own place.
    Device {
        user: UserNid,
        change: Sequence,
    },
    /// The messages to devices at this place.
    Messages,
}

/// What is true at the moment, and not worth telling later.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Passing {
    Typing { room: RoomNid, user: UserNid, typing: bool },
    Presence(Arc<PresenceRow>),
}

impl Passing {
    /// Whether `newer` makes this one pointless.
    fn is_replaced_by(&self, newer: &Self) -> bool {
        match (self, newer) {
            (
                Self::Typing { room, user, .. },
                Self::Typing {
                    room: newer_room,
                    user: newer_user,
                    ..
                },
            ) => room == newer_room && user == newer_user,
            (Self::Presence(row), Self::Presence(newer)) => row.user == newer.user,
            (Self::Typing { .. }, Self::Presence(_)) | (Self::Presence(_), Self::Typing { .. }) => false,
        }
    }
}

/// Something for a destination.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Pdu(Pdu),
    Edu(Edu),
}

impl Item {
    fn position(&self) -> Sequence {
        match self {
            Self::Pdu(pdu) => pdu.position,
            Self::Edu(edu) => edu.position,
        }
    }
}

/// What is sent together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Batch {
    pub(super) pdus: Vec<Pdu>,
    pub(super) edus: Vec<Edu>,
    pub(super) passing: Vec<Passing>,
}

/// What is to be done for a destination next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Nothing: whoever works on it stops.
    Rest,
    /// The database still says that it lags: it no longer does, up to this place.
    ForgetLag { up_to: Sequence },
    /// It has all up to `since`; it is to be given what came then, up to `up_to`.
    CatchUp { since: Sequence, up_to: Sequence },
    /// To be sent, and then [`Board::sent`].
    Send(Batch),
}

#[derive(Debug, Default)]
struct Destination {
    pdus: VecDeque<Pdu>,
    edus: VecDeque<Edu>,
    passing: VecDeque<Passing>,
    /// It has all up to here, and what came after is not in the queues, unless it came since the catching up began.
    lag: Option<Sequence>,
    /// The last place that did not get into the queues.
    skipped: Sequence,
    /// Whether it is being caught up: what comes now goes into the queues.
    catching_up: bool,
    /// Whether the database says that it lags, from before all that waits.
    has_row: bool,
    /// Whether somebody works on it.
    working: bool,
}

impl Destination {
    /// The first place that it has not been given.
    fn undelivered(&self) -> Option<Sequence> {
        let pdu = self.pdus.front().map(|pdu| pdu.position);
        let edu = self.edus.front().map(|edu| edu.position);
        let lag = self.lag.map(|since| since + 1);
        [pdu, edu, lag].into_iter().flatten().min()
    }

    fn push(&mut self, item: Item) {
        let position = item.position();
        if self.lag.is_some() && !self.catching_up {
            self.skipped = self.skipped.max(position);
            return;
        }
        if self.pdus.len() >= QUEUED_MAX || self.edus.len() >= QUEUED_MAX {
            self.lag = self.undelivered().map(|first| first - 1);
            self.pdus.clear();
            self.edus.clear();
            self.catching_up = false;
            self.skipped = position;
            return;
        }
        match item {
            Item::Pdu(pdu) => self.pdus.push_back(pdu),
            Item::Edu(edu) => self.edus.push_back(edu),
        }
    }

    fn push_passing(&mut self, passing: Passing) {
        self.passing.retain(|queued| !queued.is_replaced_by(&passing));
        self.passing.push_back(passing);
        if self.passing.len() > PASSING_MAX {
            self.passing.pop_front();
        }
    }

    fn batch(&mut self) -> Batch {
        let edus: Vec<Edu> = self.edus.iter().take(EDUS_MAX).cloned().collect();
        let room = (EDUS_MAX - edus.len()).min(self.passing.len());
        Batch {
            pdus: self.pdus.iter().take(PDUS_MAX).copied().collect(),
            edus,
            passing: self.passing.drain(..room).collect(),
        }
    }

    fn is_idle(&self) -> bool {
        self.undelivered().is_none() && self.passing.is_empty()
    }
}

#[derive(Debug)]
struct Bucket {
    /// Everything up to here is in the queues of its destinations, or delivered.
    read: Sequence,
    /// The cursor the database has.
    stored: Sequence,
    /// Whether anything was delivered since.
    moved: bool,
}

/// What waits for the destinations of the buckets that are this process's.
#[derive(Debug, Default)]
pub(super) struct Board {
    buckets: BTreeMap<u16, Bucket>,
    destinations: HashMap<OwnedServerName, Destination>,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) pdus: usize,
    pub(super) edus: usize,
    pub(super) busy: usize,
    pub(super) lagging: usize,
    /// The place of the oldest cursor, if there is any.
    pub(super) cursor: Option<Sequence>,
}

impl Board {
    /// A bucket is this process's from now on.
    pub(super) fn take_bucket(&mut self, bucket: u16, cursor: Sequence, lags: Vec<Lag>) {
        let fresh = Bucket {
            read: cursor,
            stored: cursor,
            moved: false,
        };
        self.buckets.insert(bucket, fresh);
        for lag in lags {
            let destination = Destination {
                lag: Some(lag.since),
                skipped: cursor,
                has_row: true,
                ..Destination::default()
            };
            self.destinations.insert(lag.server, destination);
        }
    }

    /// A bucket is another process's from now on.
    pub(super) fn drop_bucket(&mut self, bucket: u16) {
        self.buckets.remove(&bucket);
        self.destinations.retain(|server, _| bucket_of(server) != bucket);
    }

    pub(super) fn has_bucket(&self, bucket: u16) -> bool {
        self.buckets.contains_key(&bucket)
    }

    pub(super) fn has_bucket_of(&self, server: &ServerName) -> bool {
        self.has_bucket(bucket_of(server))
    }

    /// From where the log is to be read on.
    pub(super) fn read_from(&self) -> Option<Sequence> {
        self.buckets.values().map(|bucket| bucket.read).min()
    }

    /// A destination of a bucket that has been read up to here lags, and the database says so: a part of the log is gone that was not read.
    pub(super) fn miss(&mut self, lag: &Lag) {
        let destination = self.entry(&lag.server);
        let since = destination
            .undelivered()
            .map_or(lag.since, |first| (first - 1).min(lag.since));
        destination.lag = Some(since);
        destination.skipped = destination.skipped.max(lag.noted);
        destination.has_row = true;
    }

    /// How far the log was read for the destinations of a bucket.
    pub(super) fn read_up_to(&self, bucket: u16) -> Option<Sequence> {
        self.buckets.get(&bucket).map(|bucket| bucket.read)
    }

    /// Everything up to a place has been pushed.
    pub(super) fn advance(&mut self, up_to: Sequence) {
        for bucket in self.buckets.values_mut() {
            bucket.read = bucket.read.max(up_to);
        }
    }

    /// Puts something into the queue of a destination, if that is this process's to deliver. Whether somebody has to begin to work on it.
    pub(super) fn push(&mut self, server: &ServerName, item: Item) -> bool {
        let Some(bucket) = self.buckets.get(&bucket_of(server)) else {
            return false;
        };
        if item.position() <= bucket.read {
            return false;
        }
        let destination = self.entry(server);
        destination.push(item);
        // One that lags is left alone until its time comes.
        let begins = !destination.working && (destination.lag.is_none() || !destination.has_row);
        destination.working |= begins;
        begins
    }

    /// The same for what is not worth telling to somebody who lags.
    pub(super) fn push_passing(&mut self, server: &ServerName, passing: Passing) -> bool {
        if !self.has_bucket_of(server) || self.destinations.get(server).is_some_and(|known| known.lag.is_some()) {
            return false;
        }
        let destination = self.entry(server);
        destination.push_passing(passing);
        !std::mem::replace(&mut destination.working, true)
    }

    /// The database says that a destination lags, and it is not left alone any more. Whether somebody has to begin to work on it.
    pub(super) fn due(&mut self, server: &ServerName) -> bool {
        if !self.has_bucket_of(server) {
            return false;
        }
        let destination = self.entry(server);
        if destination.is_idle() {
            // Another process noted it, which had the bucket before or is about to lose it; or it could not be forgotten when it should have been.
            destination.has_row = true;
        }
        !std::mem::replace(&mut destination.working, true)
    }

    /// What is to be done next by whoever works on a destination.
    pub(super) fn next(&mut self, server: &ServerName) -> Step {
        let Some(bucket) = self.buckets.get(&bucket_of(server)) else {
            return Step::Rest;
        };
        let Some(destination) = self.destinations.get_mut(server) else {
            return Step::Rest;
        };
        if let Some(since) = destination.lag {
            destination.catching_up = true;
            let up_to = bucket.read.max(destination.skipped).max(since);
            return Step::CatchUp { since, up_to };
        }
        if !destination.is_idle() {
            return Step::Send(destination.batch());
        }
        if std::mem::take(&mut destination.has_row) {
            // Already now, so that what comes meanwhile holds the cursor.
            return Step::ForgetLag { up_to: bucket.read };
        }
        self.destinations.remove(server);
        Step::Rest
    }

    /// A batch was delivered, or is not wanted.
    pub(super) fn sent(&mut self, server: &ServerName, batch: &Batch) {
        if let Some(destination) = self.destinations.get_mut(server) {
            let (pdu, edu) = (batch.pdus.last(), batch.edus.last());
            while destination
                .pdus
                .front()
                .zip(pdu)
                .is_some_and(|(first, sent)| first.position <= sent.position)
            {
                destination.pdus.pop_front();
            }
            while destination
                .edus
                .front()
                .zip(edu)
                .is_some_and(|(first, sent)| first.position <= sent.position)
            {
                destination.edus.pop_front();
            }
            self.moved(server);
        }
    }

    /// A destination has been given what it had missed, up to a place.
    pub(super) fn caught_up(&mut self, server: &ServerName, up_to: Sequence) {
        if let Some(destination) = self.destinations.get_mut(server) {
            // Unless there was too much for the queues meanwhile: then it goes on from here.
            destination.lag = (!destination.catching_up).then_some(up_to);
            destination.catching_up = false;
            self.moved(server);
        }
    }

    /// A destination does not take what it is given: from now on it lags. What the database has to be told before [`Board::give_up`], if anything.
    pub(super) fn fail(&mut self, server: &ServerName) -> Option<Lag> {
        let read = self.buckets.get(&bucket_of(server))?.read;
        let destination = self.destinations.get_mut(server)?;
        destination.passing.clear();
        let first = destination.undelivered()?;
        let newest = destination.pdus.back().map(|pdu| pdu.position);
        let newest = newest.max(destination.edus.back().map(|edu| edu.position));
        destination.skipped = destination.skipped.max(newest.unwrap_or_default());
        destination.pdus.clear();
        destination.edus.clear();
        destination.catching_up = false;
        destination.lag = Some(first - 1);
        let noted = read.max(destination.skipped);
        (!destination.has_row).then(|| Lag {
            server: server.to_owned(),
            since: first - 1,
            noted,
        })
    }

    /// Whoever worked on a destination that does not take anything stops.
    pub(super) fn give_up(&mut self, server: &ServerName) {
        if let Some(destination) = self.destinations.get_mut(server) {
            destination.working = false;
            if destination.lag.is_some() {
                destination.has_row = true;
                destination.passing.clear();
            } else if destination.is_idle() && !destination.has_row {
                self.destinations.remove(server);
            }
        }
    }

    /// The cursors that the database should be told of.
    pub(super) fn cursors(&self, all: bool) -> Vec<(u16, Sequence)> {
        let mut cursors: BTreeMap<u16, Sequence> = self.buckets.iter().map(|(at, bucket)| (*at, bucket.read)).collect();
        for (server, destination) in &self.destinations {
            if !destination.has_row
                && let Some(first) = destination.undelivered()
                && let Some(cursor) = cursors.get_mut(&bucket_of(server))
            {
                *cursor = (*cursor).min(first - 1);
            }
        }
        cursors.retain(|at, cursor| {
            self.buckets.get(at).is_some_and(|bucket| {
                *cursor > bucket.stored && (all || bucket.moved || *cursor - bucket.stored > CURSOR_LAG_MAX)
            })
        });
        cursors.into_iter().collect()
    }

    /// The database has these cursors.
    pub(super) fn cursors_stored(&mut self, cursors: &[(u16, Sequence)]) {
        for (at, cursor) in cursors {
            if let Some(bucket) = self.buckets.get_mut(at) {
                bucket.stored = bucket.stored.max(*cursor);
                bucket.moved = false;
            }
        }
    }

    pub(super) fn waiting(&self) -> Waiting {
        let mut waiting = Waiting {
            cursor: self.read_from(),
            ..Waiting::default()
        };
        for destination in self.destinations.values() {
            waiting.pdus += destination.pdus.len();
            waiting.edus += destination.edus.len() + destination.passing.len();
            waiting.busy += usize::from(destination.working);
            waiting.lagging += usize::from(destination.lag.is_some());
            if let (false, Some(first)) = (destination.has_row, destination.undelivered()) {
                waiting.cursor = waiting.cursor.map(|cursor| cursor.min(first - 1));
            }
        }
        waiting
    }

    fn moved(&mut self, server: &ServerName) {
        if let Some(bucket) = self.buckets.get_mut(&bucket_of(server)) {
            bucket.moved = true;
        }
    }

    fn entry(&mut self, server: &ServerName) -> &mut Destination {
        if !self.destinations.contains_key(server) {
            self.destinations.insert(server.to_owned(), Destination::default());
        }
        self.destinations
            .get_mut(server)
            .expect("it was there, or was put there")
    }
}

#[cfg(test)]
mod tests;
