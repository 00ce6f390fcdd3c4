//! One reader's place on one writer's chain, and what to make of a frame there. Pure: no locks, no I/O.

use std::{collections::BTreeMap, sync::Arc};

use plexus_core::{
    position::{Epoch, Sequence},
    row::Frame,
};

/// Frames kept per chain while what comes before them is being fetched. More are dropped: the log has them.
pub(crate) const AHEAD_FRAMES_MAX: usize = 256;

/// What a frame from a transport is to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Follows my place: apply it.
    Next,
    /// Already applied, or a heartbeat of where I am.
    Late,
    /// From a writer that has been deposed.
    Deposed,
    /// Does not follow my place: something in between is missing.
    Gap,
    /// A newer writer continues from a place I have passed: this is not the history I have applied.
    Rewound,
}

/// How a chain continues when its epoch changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Stored: one chain through all epochs.
    Stored,
    /// In memory: each epoch begins anew from nothing.
    Ephemeral,
}

/// A reader's place on a chain.
#[derive(Debug)]
pub(crate) struct Chain {
    kind: Kind,
    /// The place: every row up to here is applied, none after it.
    pub(crate) at: Sequence,
    /// The epoch that wrote the place.
    pub(crate) at_epoch: Epoch,
    /// The highest epoch heard of.
    pub(crate) epoch: Epoch,
    /// The furthest place heard of.
    pub(crate) head: Sequence,
    /// Whether somebody is fetching what is missing.
    pub(crate) filling: bool,
    /// Whether somebody wants to know what is new, though nothing is known to be missing.
    pub(crate) asked: bool,
    ahead: BTreeMap<Sequence, Arc<Frame>>,
}

impl Chain {
    /// A reader that starts at a place.
    pub(crate) fn new(kind: Kind, epoch: Epoch, at: Sequence) -> Self {
        Self {
            kind,
            at,
            at_epoch: epoch,
            epoch,
            head: at,
            filling: false,
            asked: false,
            ahead: BTreeMap::new(),
        }
    }

    /// Takes note of a frame's epoch. Whether a new term of an ephemeral chain begins with this frame, so that all that was known is void.
    pub(crate) fn begins_anew(&mut self, frame: &Frame) -> bool {
        if frame.epoch <= self.epoch {
            return false;
        }
        self.epoch = frame.epoch;
        // What a deposed writer sent ahead may not be what was committed there.
        self.ahead.retain(|_, kept| kept.epoch >= frame.epoch);
        if self.kind == Kind::Stored {
            return false;
        }
        self.head = frame.position;
        if frame.previous == 0 {
            self.at = 0;
            self.at_epoch = frame.epoch;
        }
        frame.previous == 0
    }

    /// Judges a frame from a transport.
    pub(crate) fn judge(&mut self, frame: &Frame) -> Verdict {
        if frame.epoch < self.epoch {
            return Verdict::Deposed;
        }
        self.head = self.head.max(frame.position);
        let other_term = frame.epoch != self.at_epoch;
        match self.kind {
            Kind::Stored if other_term && frame.previous < self.at => Verdict::Rewound,
            Kind::Ephemeral if other_term => Verdict::Gap,
            Kind::Stored | Kind::Ephemeral if frame.position <= self.at => Verdict::Late,
            Kind::Stored | Kind::Ephemeral if frame.previous == self.at => Verdict::Next,
            Kind::Stored | Kind::Ephemeral => Verdict::Gap,
        }
    }

    /// Takes note of where the chain ends: what was fetched may be only the first page of what is missing.
    pub(crate) fn hear_of(&mut self, (epoch, head): (Epoch, Sequence)) {
        if self.kind == Kind::Stored || epoch == self.at_epoch {
            self.head = self.head.max(head);
        }
    }

    /// Whether rows are known to be missing.
    pub(crate) fn behind(&self) -> bool {
        self.head > self.at || (self.kind == Kind::Ephemeral && self.epoch != self.at_epoch)
    }

    /// Keeps a frame until its turn comes.
    pub(crate) fn keep(&mut self, frame: Arc<Frame>) {
        if frame.rows.is_empty() {
            return;
        }
        self.ahead.insert(frame.previous, frame);
        if self.ahead.len() > AHEAD_FRAMES_MAX {
            self.ahead.pop_last();
        }
    }

    /// The kept frame that follows my place, if there is one. Forgets those I have passed.
    pub(crate) fn take_kept(&mut self) -> Option<Arc<Frame>> {
        self.ahead = self.ahead.split_off(&self.at);
        let next = self.ahead.remove(&self.at)?;
        (self.kind == Kind::Stored || next.epoch == self.at_epoch).then_some(next)
    }

    /// Moves past a frame whose rows are applied.
    pub(crate) fn advance(&mut self, frame: &Frame) {
        self.restart(frame.epoch, frame.position);
    }

    /// Moves to a place without the rows before it.
    pub(crate) fn restart(&mut self, epoch: Epoch, at: Sequence) {
        self.at = at;
        self.at_epoch = epoch;
        self.epoch = self.epoch.max(epoch);
        self.head = self.head.max(at);
    }
}
