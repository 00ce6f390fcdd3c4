//! When something last happened in each room, in memory: tells most rooms of a sync apart as unchanged.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use plexus_core::{ids::RoomNid, position::Sequence};

use crate::Store;

/// Most rooms that are remembered; beyond, the half that has been quiet for longer is forgotten.
const ROOMS_MAX: usize = 200_000;

/// The last change of each room.
#[derive(Debug)]
pub(crate) struct Changes {
    rooms_max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Up to this place, changes are not remembered: a room that is not in `last` may have changed there, and has not changed since.
    floor: Sequence,
    last: HashMap<RoomNid, Sequence>,
}

/// A process that has heard nothing yet knows nothing.
const UNKNOWN: Sequence = Sequence::MAX;

impl Changes {
    pub(crate) fn new() -> Self {
        Self {
            rooms_max: ROOMS_MAX,
            state: Mutex::new(State {
                floor: UNKNOWN,
                last: HashMap::new(),
            }),
        }
    }

    /// A row that touches no room is the one at `position`.
    pub(crate) fn reach(&self, position: Sequence) {
        let mut state = self.lock();
        state.floor = state.floor.min(position - 1);
    }

    /// The row at `position` changes a room.
    pub(crate) fn change(&self, room: RoomNid, position: Sequence) {
        let mut state = self.lock();
        state.floor = state.floor.min(position - 1);
        state.last.insert(room, position);
        if state.last.len() > self.rooms_max {
            let mut all: Vec<Sequence> = state.last.values().copied().collect();
            let middle = all.len() / 2;
            let (_, &mut floor, _) = all.select_nth_unstable(middle);
            state.last.retain(|_, last| *last > floor);
            state.floor = floor;
        }
    }

    /// No change of the room is later than this.
    pub(crate) fn last(&self, room: RoomNid) -> Sequence {
        let state = self.lock();
        state.last.get(&room).copied().unwrap_or(state.floor)
    }

    /// Changes may have been missed.
    pub(crate) fn forget_all(&self) {
        let mut state = self.lock();
        *state = State {
            floor: UNKNOWN,
            last: HashMap::new(),
        };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// A place after which nothing has happened in the room that this process knows of: no event, redaction or receipt. It may be later than the last of
    /// them, and even later than where this process is, when it does not know.
    pub fn last_change(&self, room: RoomNid) -> Sequence {
        self.caches().changes.last(room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_before_the_first_row() {
        let changes = Changes::new();
        assert_eq!(changes.last(RoomNid(1)), Sequence::MAX);
        changes.change(RoomNid(1), 8);
        assert_eq!((changes.last(RoomNid(1)), changes.last(RoomNid(2))), (8, 7));
        changes.reach(9);
        assert_eq!((changes.last(RoomNid(1)), changes.last(RoomNid(2))), (8, 7));
        changes.forget_all();
        assert_eq!(changes.last(RoomNid(1)), Sequence::MAX);
    }

    #[test]
    fn quiet_rooms_are_forgotten_first_and_the_floor_covers_them() {
        let changes = Changes {
            rooms_max: 10,
            ..Changes::new()
        };
        for at in 1..=11 {
            changes.change(RoomNid(at), 100 + at);
        }
        assert_eq!(changes.last(RoomNid(11)), 111);
        assert_eq!(changes.last(RoomNid(7)), 107);
        assert_eq!(changes.last(RoomNid(1)), 106);
        assert_eq!(changes.last(RoomNid(99)), 106);
        assert!(changes.lock().last.len() <= 10);
    }
}
