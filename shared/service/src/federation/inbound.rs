//! What a process remembers of what other servers send it.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use plexus_core::ids::{EventNid, RoomNid};
use quick_cache::sync::Cache;
use ruma::OwnedServerName;
use tokio::sync::{Mutex as TurnMutex, Notify, Semaphore, SemaphorePermit};

use super::{acl::Acls, doors::Doors, edus::Budgets};

/// Those who wait for one thing in a process: transactions of one server, of which who keeps to the specification has one, or readers of a room.
const PER_LINE_MAX: usize = 8;
/// Things of one kind that are waited for in a process.
const LINES_MAX: usize = 10_000;
/// Identity servers, of which nobody knows who they are, that tell at once of addresses in a process: what they say is asked of other servers.
const BINDINGS_MAX: usize = 4;
/// Pauses that are remembered.
const PAUSES_MAX: usize = 10_000;

/// What a process remembers of what other servers send it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Inbound {
    /// Which servers may take part in rooms.
    pub acls: Acls,
    /// Whoever of this server is about to come into a room of others.
    pub doors: Doors,
    /// Whose transactions are under way.
    pub(super) origins: Lines<OwnedServerName>,
    /// Who waits for a room's history.
    pub(super) readers: Lines<RoomNid>,
    /// Until when history before an event is not asked for again.
    pub(super) history_pauses: HistoryPauses,
    /// How much each server may tell that lasts only for a moment.
    pub(super) budgets: Budgets,
    /// Who takes invites of addresses at the moment.
    pub(crate) bindings: Bindings,
    /// Wakes who completes rooms that were joined with a part of their state.
    pub(super) partial: Arc<Notify>,
    /// Wakes who looks after events that wait for others.
    pub(super) staged: Arc<Notify>,
}

/// Who takes invites of addresses that are users' now. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Bindings(Arc<Semaphore>);

impl Default for Bindings {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BINDINGS_MAX)))
    }
}

impl Bindings {
    /// A turn, for as long as it is held; none if there are too many.
    pub(crate) fn enter(&self) -> Option<SemaphorePermit<'_>> {
        self.0.try_acquire().ok()
    }
}

/// Until when history before an event is not asked for again. Cheap to clone.
#[derive(Clone)]
pub(super) struct HistoryPauses(Arc<Cache<EventNid, i64>>);

impl Default for HistoryPauses {
    fn default() -> Self {
        Self(Arc::new(Cache::new(PAUSES_MAX)))
    }
}

impl fmt::Debug for HistoryPauses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HistoryPauses")
    }
}

impl HistoryPauses {
    pub(super) fn get(&self, event: EventNid) -> Option<i64> {
        self.0.get(&event)
    }

    pub(super) fn set(&self, event: EventNid, until_ms: i64) {
        self.0.insert(event, until_ms);
    }
}

/// Whose turn it is: of all that is about one thing, one at a time. Cheap to clone.
#[derive(Debug)]
pub(super) struct Lines<K>(Arc<Mutex<HashMap<K, Line>>>);

impl<K> Clone for Lines<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> Default for Lines<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// Those who are about one thing.
#[derive(Debug, Default)]
struct Line {
    turn: Arc<TurnMutex<()>>,
    count: usize,
}

/// A place in a line, while it is held.
#[derive(Debug)]
pub(super) struct Place<K: Clone + Eq + Hash> {
    lines: Lines<K>,
    about: K,
    /// Held by the one whose turn it is.
    pub(super) turn: Arc<TurnMutex<()>>,
}

impl<K: Clone + Eq + Hash> Lines<K> {
    /// A place; none if too many wait already.
    pub(super) fn enter(&self, about: &K) -> Option<Place<K>> {
        let mut lines = self.lock();
        let others = lines.len();
        let line = match lines.entry(about.clone()) {
            Entry::Occupied(line) => line.into_mut(),
            Entry::Vacant(_) if others >= LINES_MAX => return None,
            Entry::Vacant(place) => place.insert(Line::default()),
        };
        if line.count >= PER_LINE_MAX {
            return None;
        }
        line.count += 1;
        Some(Place {
            lines: self.clone(),
            about: about.clone(),
            turn: Arc::clone(&line.turn),
        })
    }

    // Held for a few instructions and never while anything is awaited, hence the standard library's.
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut lines = self.lines.lock();
        if let Entry::Occupied(mut line) = lines.entry(self.about.clone()) {
            line.get_mut().count -= 1;
            if line.get().count == 0 {
                line.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::server_name;

    use super::*;

    #[test]
    fn places_are_bounded_for_each_server_and_given_back() {
        let lines = Lines::default();
        let (one, two) = (
            server_name!("one.example").to_owned(),
            server_name!("two.example").to_owned(),
        );
        let places: Vec<_> = (0..PER_LINE_MAX).map(|_| lines.enter(&one)).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(lines.enter(&one).is_none());
        assert!(lines.enter(&two).is_some());
        drop(places);
        assert!(lines.enter(&one).is_some());
        assert!(lines.lock().is_empty());
    }
}
