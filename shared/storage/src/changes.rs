//! When something last happened in each room, in memory: tells most rooms of a sync apart as unchanged.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use plexus_core::{ids::RoomNid, position::Sequence};

use crate::{
    Store,
    recent::{Latest, UNKNOWN},
};

/// Most rooms that are remembered; beyond, the half that has been quiet for longer is forgotten.
const ROOMS_MAX: usize = 200_000;

/// Most changes that are remembered in their order: a sync that was told something lately need not ask about each of its rooms.
pub(crate) const RECENT_MAX: usize = 4_096;

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
    recent: Latest<RoomNid>,
}

impl State {
    fn unknown() -> Self {
        Self {
            floor: UNKNOWN,
            last: HashMap::new(),
            recent: Latest::new(RECENT_MAX),
        }
    }
}

impl Changes {
    pub(crate) fn new() -> Self {
        Self {
            rooms_max: ROOMS_MAX,
            state: Mutex::new(State::unknown()),
        }
    }

    /// A row that touches no room is the one at `position`.
    pub(crate) fn reach(&self, position: Sequence) {
        let mut state = self.lock();
        state.floor = state.floor.min(position - 1);
        state.recent.reach(position);
    }

    /// The row at `position` changes a room.
    pub(crate) fn change(&self, room: RoomNid, position: Sequence) {
        let mut state = self.lock();
        state.floor = state.floor.min(position - 1);
        state.last.insert(room, position);
        state.recent.push(position, room);
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

    /// A place after which nothing has happened to a room, or a user, that was not heard of.
    pub(crate) fn floor(&self) -> Sequence {
        self.lock().floor
    }

    /// Changes may have been missed.
    pub(crate) fn forget_all(&self) {
        let mut state = self.lock();
        *state = State::unknown();
    }

    /// The rooms that changed after a place, if all of them are remembered.
    pub(crate) fn after(&self, after: Sequence) -> Option<Vec<RoomNid>> {
        self.lock().recent.after(after)
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

    /// The rooms in which something has happened after a place: an event, a redaction or a receipt. None if that was too long ago to be remembered.
    pub fn rooms_changed(&self, after: Sequence) -> Option<Vec<RoomNid>> {
        self.caches().changes.after(after)
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

    #[test]
    fn the_latest_changes_are_remembered_in_order() {
        let changes = Changes::new();
        assert_eq!(changes.after(7), None, "nothing is known");
        changes.change(RoomNid(2), 8);
        changes.change(RoomNid(1), 9);
        changes.change(RoomNid(2), 10);
        assert_eq!(changes.after(6), None, "there may have been one at 7");
        assert_eq!(changes.after(7), Some(vec![RoomNid(1), RoomNid(2)]));
        assert_eq!(changes.after(9), Some(vec![RoomNid(2)]));
        assert_eq!(changes.after(10), Some(vec![]));
        let beyond = Sequence::try_from(RECENT_MAX).expect("small") + 10;
        for position in 11..=beyond {
            changes.change(RoomNid(3), position);
        }
        assert_eq!(changes.after(9), None);
        assert_eq!(changes.after(10), Some(vec![RoomNid(3)]));
        changes.forget_all();
        assert_eq!(changes.after(beyond), None);
    }
}
