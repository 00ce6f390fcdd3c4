//! The master's side of the ephemeral chain: a bounded ring of frames, and the whole state for readers the ring no longer reaches.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::{Epoch, Sequence},
    row::{Frame, PresenceRow, PresenceState, Row},
};
use plexus_proto as proto;

use crate::{EPHEMERAL, frames};

#[cfg(test)]
mod tests;

/// Rows the ring holds.
pub(crate) const RING_ROWS_MAX: usize = 4096;
/// Rooms where nobody types any more that the whole state still mentions, so that a reader that missed the end of it is told.
pub(crate) const QUIET_ROOMS_MAX: usize = 1024;
/// Users who are offline that the whole state still mentions, for the same reason, and because of what they have said last.
pub(crate) const OFFLINE_USERS_MAX: usize = 2_000;

/// The chain of one leading master. Its epoch has to be higher than that of every master before: the lease's is.
#[derive(Debug)]
pub struct EphemeralRing {
    epoch: Epoch,
    head: Sequence,
    /// The place before the oldest frame.
    tail: Sequence,
    frames: VecDeque<Arc<Frame>>,
    /// Rows in `frames`.
    rows: usize,
    typing: HashMap<RoomNid, (Sequence, Vec<UserNid>)>,
    /// Rooms with nobody typing, the one quiet for longest first.
    quiet: VecDeque<(Sequence, RoomNid)>,
    presence: HashMap<UserNid, (Sequence, PresenceRow)>,
    /// Users who are offline, the one gone for longest first.
    offline: VecDeque<(Sequence, UserNid)>,
}

impl EphemeralRing {
    /// An empty chain.
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            head: 0,
            tail: 0,
            frames: VecDeque::new(),
            rows: 0,
            typing: HashMap::new(),
            quiet: VecDeque::new(),
            presence: HashMap::new(),
            offline: VecDeque::new(),
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

    /// What was last told of a user.
    pub fn presence(&self, user: UserNid) -> Option<&PresenceRow> {
        self.presence.get(&user).map(|(_, row)| row)
    }

    /// Appends that these users, and nobody else, are typing in a room now. The frame is to be published.
    pub fn set_typing(&mut self, room: RoomNid, users: Vec<UserNid>) -> Arc<Frame> {
        let at = self.head + 1;
        if users.is_empty() {
            self.quiet.push_back((at, room));
        }
        self.typing.insert(room, (at, users.clone()));
        self.forget_quiet_rooms();
        self.append(vec![Row::Typing { room, users }])
    }

    /// Appends what these users are doing now, each of them once. The frame is to be published; nobody may be nobody.
    pub fn set_presence(&mut self, users: Vec<PresenceRow>) -> Option<Arc<Frame>> {
        if users.is_empty() {
            return None;
        }
        for (at, row) in (self.head + 1..).zip(&users) {
            if row.state == PresenceState::Offline {
                self.offline.push_back((at, row.user));
            }
            self.presence.insert(row.user, (at, row.clone()));
        }
        self.forget_offline_users();
        Some(self.append(users.into_iter().map(Row::Presence).collect()))
    }

    fn append(&mut self, rows: Vec<Row>) -> Arc<Frame> {
        let previous = self.head;
        self.head += Sequence::try_from(rows.len()).expect("a frame has few rows");
        self.rows += rows.len();
        let frame = Arc::new(Frame {
            writer: EPHEMERAL,
            epoch: self.epoch,
            previous,
            position: self.head,
            rows,
        });
        self.frames.push_back(Arc::clone(&frame));
        while self.rows > RING_ROWS_MAX
            && let Some(oldest) = self.frames.pop_front()
        {
            self.rows -= oldest.rows.len();
            self.tail = oldest.position;
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

    /// Every room's typing and every user's presence in the order they last changed, numbered so that the last has the head's number: none gets a lower
    /// number than its change had, so a client that has not seen the change is told.
    fn whole_state(&self) -> Frame {
        let typing = self.typing.iter().map(|(room, (sequence, users))| {
            let (room, users) = (*room, users.clone());
            (*sequence, Row::Typing { room, users })
        });
        let presence = self.presence.values();
        let presence = presence.map(|(sequence, row)| (*sequence, Row::Presence(row.clone())));
        let mut changes: Vec<(Sequence, Row)> = typing.chain(presence).collect();
        changes.sort_unstable_by_key(|(sequence, _)| *sequence);
        let rows: Vec<Row> = changes.into_iter().map(|(_, row)| row).collect();
        let count = Sequence::try_from(rows.len()).expect("fewer changes than rows on the chain");
        Frame {
            writer: EPHEMERAL,
            epoch: self.epoch,
            previous: self.head - count,
            position: self.head,
            rows,
        }
    }

    fn forget_offline_users(&mut self) {
        while self.offline.len() > OFFLINE_USERS_MAX {
            let Some((since, user)) = self.offline.pop_front() else {
                return;
            };
            if self.presence.get(&user).is_some_and(|(changed, _)| *changed == since) {
                self.presence.remove(&user);
            }
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
