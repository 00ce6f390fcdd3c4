//! Which rooms' states take longest to resolve: for operators, who find out here what keeps a master busy. Metrics have no label for each room.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ruma::{OwnedRoomId, RoomId};
use serde::Serialize;

/// Rooms that are kept in mind; the one that took least makes way for another.
const ROOMS_MAX: usize = 200;
/// Rooms that are told of.
const TOLD_MAX: usize = 20;

/// What resolving a room's state has taken since this process leads.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct SlowRoom {
    /// The room.
    pub(crate) room_id: OwnedRoomId,
    /// How often its state was resolved.
    pub(crate) resolutions: u64,
    /// How long all of that took.
    pub(crate) total_seconds: f64,
    /// How long the slowest took.
    pub(crate) longest_seconds: f64,
    /// The most events that were in conflict at once.
    pub(crate) most_conflicted: usize,
}

/// The rooms that are kept in mind.
#[derive(Debug, Default)]
pub(crate) struct Slowest(Mutex<HashMap<OwnedRoomId, SlowRoom>>);

impl Slowest {
    /// A room's state was resolved.
    pub(crate) fn note(&self, room_id: &RoomId, took: Duration, conflicted: usize) {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rooms.len() >= ROOMS_MAX && !rooms.contains_key(room_id) {
            let least = rooms
                .values()
                .min_by(|a, b| a.total_seconds.total_cmp(&b.total_seconds));
            if let Some(least) = least.map(|room| room.room_id.clone()) {
                rooms.remove(&least);
            }
        }
        let room = rooms.entry(room_id.to_owned()).or_insert_with(|| SlowRoom {
            room_id: room_id.to_owned(),
            resolutions: 0,
            total_seconds: 0.0,
            longest_seconds: 0.0,
            most_conflicted: 0,
        });
        let took = took.as_secs_f64();
        room.resolutions += 1;
        room.total_seconds += took;
        room.longest_seconds = room.longest_seconds.max(took);
        room.most_conflicted = room.most_conflicted.max(conflicted);
    }

    /// Those that took most, the first of them first.
    pub(crate) fn list(&self) -> Vec<SlowRoom> {
        let rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rooms: Vec<SlowRoom> = rooms.values().cloned().collect();
        rooms.sort_by(|a, b| b.total_seconds.total_cmp(&a.total_seconds));
        rooms.truncate(TOLD_MAX);
        rooms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rooms_that_take_longest_stay_in_mind() {
        let slowest = Slowest::default();
        let room = |n: u64| OwnedRoomId::try_from(format!("!room{n}:example.org")).unwrap();
        for n in 0..1_000 {
            slowest.note(&room(n), Duration::from_millis(n % 500), 3);
        }
        slowest.note(&room(999), Duration::from_millis(1), 7);
        let list = slowest.list();
        assert_eq!(list.len(), TOLD_MAX);
        assert_eq!(
            (&list[0].room_id, list[0].resolutions, list[0].most_conflicted),
            (&room(999), 2, 7)
        );
        assert!(list.is_sorted_by(|a, b| a.total_seconds >= b.total_seconds));
        assert!(slowest.0.lock().unwrap().len() <= ROOMS_MAX);
    }
}
