//! The master's side of the ephemeral chain: a bounded ring of frames, and the whole state for readers the ring no longer reaches.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::{Epoch, Sequence},
    row::{Frame, Row},
};
use plexus_proto as proto;

use crate::{EPHEMERAL, frames};

#[cfg(test)]
mod tests;

/// Rows the ring holds.
pub(crate) const RING_ROWS_MAX: usize = 4096;
/// Rooms where nobody types any more that the whole state still mentions, so that a reader that missed the end of it is told.
pub(crate) const QUIET_ROOMS_MAX: usize = 1024;

/// The chain of one leading master. Its epoch has to be higher than that of every master before: the lease's is.
#[derive(Debug)]
pub struct EphemeralRing {
    epoch: Epoch,
    head: Sequence,
    /// The place before the oldest frame.
    tail: Sequence,
    frames: VecDeque<Arc<Frame>>,
    typing: HashMap<RoomNid, (Sequence, Vec<UserNid>)>,
    /// Rooms with nobody typing, the one quiet for longest first.
    quiet: VecDeque<(Sequence, RoomNid)>,
}

impl EphemeralRing {
    /// An empty chain.
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            head: 0,
            tail: 0,
            frames: VecDeque::new(),
            typing: HashMap::new(),
            quiet: VecDeque::new(),
        }
    }

    /// The chain's epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Where the chain ends.
    pub fn head(&self) -> Sequence {
        self.head
    }

    /// The same as a message.
    pub fn chain_head(&self) -> proto::ChainHead {
        proto::ChainHead {
            writer: EPHEMERAL.0.into(),
            epoch: self.epoch,
            position: self.head,
        }
    }

    /// Who is typing in a room.
    pub fn typing(&self, room: RoomNid) -> &[UserNid] {
        self.typing.get(&room).map_or(&[], |(_, users)| users)
    }

    /// Appends that these users, and nobody else, are typing in a room now. The frame is to be published.
    pub fn set_typing(&mut self, room: RoomNid, users: Vec<UserNid>) -> Arc<Frame> {
        let previous = self.head;
        self.head += 1;
        if users.is_empty() {
            self.quiet.push_back((self.head, room));
        }
        self.typing.insert(room, (self.head, users.clone()));
        self.forget_quiet_rooms();
        let frame = Arc::new(Frame {
            writer: EPHEMERAL,
            epoch: self.epoch,
            previous,
            position: self.head,
            rows: vec![Row::Typing { room, users }],
        });
        self.frames.push_back(Arc::clone(&frame));
        // One row to a frame, so the number of frames is the number of rows.
        if self.frames.len() > RING_ROWS_MAX {
            self.tail = self.frames.pop_front().map_or(self.tail, |oldest| oldest.position);
        }
        frame
    }

    /// What follows a reader's place: the frames, or the whole state if the place is of another epoch or older than the ring.
    pub fn updates(&self, epoch: Epoch, after: Sequence) -> proto::UpdatesReply {
        let whole = epoch != self.epoch || after < self.tail || after > self.head;
        let frames = if whole {
            vec![frames::encode_stored(&self.whole_state())]
        } else {
            self.frames
                .iter()
                .filter(|frame| frame.previous >= after)
                .map(|frame| frames::encode_stored(frame))
                .collect()
        };
        proto::UpdatesReply {
            frames,
            too_old: false,
            head: Some(self.chain_head()),
            whole,
        }
    }

    /// Every room's typing in the order it last changed, numbered so that the last has the head's number: none gets a lower number than its change had,
    /// so a client that has not seen the change is told.
    fn whole_state(&self) -> Frame {
        let mut rooms: Vec<_> = self
            .typing
            .iter()
            .map(|(room, (sequence, users))| (*sequence, *room, users))
            .collect();
        rooms.sort_unstable_by_key(|(sequence, _, _)| *sequence);
        let rows: Vec<Row> = rooms
            .into_iter()
            .map(|(_, room, users)| Row::Typing {
                room,
                users: users.clone(),
            })
            .collect();
        let count = Sequence::try_from(rows.len()).expect("fewer rooms than rows on the chain");
        Frame {
            writer: EPHEMERAL,
            epoch: self.epoch,
            previous: self.head - count,
            position: self.head,
            rows,
        }
    }

    fn forget_quiet_rooms(&mut self) {
        while self.quiet.len() > QUIET_ROOMS_MAX {
            let Some((since, room)) = self.quiet.pop_front() else {
                return;
            };
            if self.typing.get(&room).is_some_and(|(changed, _)| *changed == since) {
                self.typing.remove(&room);
            }
        }
    }
}
