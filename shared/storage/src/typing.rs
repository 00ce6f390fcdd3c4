//! Who is typing where: the ephemeral chain's state, in memory and in no table.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::{Epoch, Sequence},
};

use crate::{Store, changes::RECENT_MAX, recent::Latest};

/// Most rooms that are remembered; beyond, the rooms where typing has stopped longest ago are forgotten, and then any that are old.
const ROOMS_MAX: usize = 20_000;

/// The state of the ephemeral chain.
#[derive(Debug)]
pub(crate) struct Typing {
    rooms_max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    epoch: Epoch,
    rooms: HashMap<RoomNid, TypingUsers>,
    recent: Latest<RoomNid>,
}

/// Who is typing in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypingUsers {
    /// The place on the ephemeral chain of the last change; 0 if there was none in this epoch.
    pub position: Sequence,
    /// Who is typing.
    pub users: Arc<[UserNid]>,
}

impl Typing {
    pub(crate) fn new() -> Self {
        Self {
            rooms_max: ROOMS_MAX,
            state: Mutex::new(State::new(0)),
        }
    }

    /// A row of the ephemeral chain: everybody who is typing in a room now.
    pub(crate) fn change(&self, epoch: Epoch, position: Sequence, room: RoomNid, users: &[UserNid]) {
        let mut state = self.lock();
        state.enter(epoch);
        state.recent.push(position, room);
        state.rooms.insert(
            room,
            TypingUsers {
                position,
                users: users.into(),
            },
        );
        if state.rooms.len() > self.rooms_max {
            let mut oldest: Vec<_> = state
                .rooms
                .iter()
                .map(|(room, typing)| (!typing.users.is_empty(), typing.position, *room))
                .collect();
            let half = oldest.len() / 2;
            oldest.select_nth_unstable(half);
            for (_, _, room) in &oldest[..half] {
                state.rooms.remove(room);
            }
        }
    }

    /// A row of the ephemeral chain that is about something else.
    pub(crate) fn reach(&self, epoch: Epoch, position: Sequence) {
        let mut state = self.lock();
        state.enter(epoch);
        state.recent.reach(position);
    }

    /// The chain is in this epoch: what was said in another one no longer holds.
    pub(crate) fn enter(&self, epoch: Epoch) {
        self.lock().enter(epoch);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            rooms: HashMap::new(),
            recent: Latest::new(RECENT_MAX),
        }
    }

    fn enter(&mut self, epoch: Epoch) {
        if self.epoch != epoch {
            *self = Self::new(epoch);
        }
    }
}

impl Store {
    /// Who is typing in a room, and since which place on the ephemeral chain.
    pub fn typing(&self, room: RoomNid) -> TypingUsers {
        self.caches()
            .typing
            .lock()
            .rooms
            .get(&room)
            .cloned()
            .unwrap_or_default()
    }

    /// The rooms in which typing has changed after a place on the ephemeral chain. None if that was too long ago to be remembered.
    pub fn rooms_typed(&self, after: Sequence) -> Option<Vec<RoomNid>> {
        self.caches().typing.lock().recent.after(after)
    }

    /// The ephemeral chain is in this epoch. To be called when it is entered without rows; a row enters its epoch by itself.
    pub fn enter_ephemeral_epoch(&self, epoch: Epoch) {
        self.caches().typing.enter(epoch);
        self.caches().presence.enter(epoch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_epoch_begins_empty() {
        let typing = Typing::new();
        typing.change(1, 4, RoomNid(1), &[UserNid(7)]);
        assert_eq!(
            typing.lock().rooms[&RoomNid(1)],
            TypingUsers {
                position: 4,
                users: [UserNid(7)].into()
            }
        );
        typing.change(2, 1, RoomNid(2), &[]);
        assert!(!typing.lock().rooms.contains_key(&RoomNid(1)));
        typing.enter(3);
        assert!(typing.lock().rooms.is_empty());
    }

    #[test]
    fn rooms_where_nobody_types_are_forgotten_first() {
        let typing = Typing {
            rooms_max: 4,
            ..Typing::new()
        };
        typing.change(1, 1, RoomNid(1), &[UserNid(7)]);
        for at in 2..=5 {
            typing.change(1, at, RoomNid(at), &[]);
        }
        let mut left: Vec<i64> = typing.lock().rooms.keys().map(|room| room.0).collect();
        left.sort_unstable();
        assert_eq!(left, [1, 4, 5]);
    }
}
