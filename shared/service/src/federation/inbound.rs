//! What a process remembers of what other servers send it.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ruma::{OwnedServerName, ServerName};
use tokio::sync::{Mutex as TurnMutex, Notify};

use super::{acl::Acls, doors::Doors, edus::Budgets};

/// Transactions of one server that are under way or wait in a process. Who keeps to the specification has one.
const PER_ORIGIN_MAX: usize = 8;
/// Servers whose transactions are under way in a process.
const ORIGINS_MAX: usize = 10_000;

/// What a process remembers of what other servers send it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Inbound {
    /// Which servers may take part in rooms.
    pub acls: Acls,
    /// Whoever of this server is about to come into a room of others.
    pub doors: Doors,
    /// Whose transactions are under way.
    pub(super) origins: Origins,
    /// How much each server may tell that lasts only for a moment.
    pub(super) budgets: Budgets,
    /// Wakes who completes rooms that were joined with a part of their state.
    pub(super) partial: Arc<Notify>,
    /// Wakes who looks after events that wait for others.
    pub(super) staged: Arc<Notify>,
}

/// Whose transactions are under way: one of each server at a time. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins(Arc<Mutex<HashMap<OwnedServerName, Line>>>);

/// The transactions of one server.
#[derive(Debug, Default)]
struct Line {
    turn: Arc<TurnMutex<()>>,
    count: usize,
}

/// A transaction's place among those of its server, while it is held.
#[derive(Debug)]
pub(super) struct Place {
    origins: Origins,
    origin: OwnedServerName,
    /// Held by the transaction whose turn it is.
    pub(super) turn: Arc<TurnMutex<()>>,
}

impl Origins {
    /// A place; none if too many wait already.
    pub(super) fn enter(&self, origin: &ServerName) -> Option<Place> {
        let mut lines = self.lock();
        let others = lines.len();
        let line = match lines.entry(origin.to_owned()) {
            Entry::Occupied(line) => line.into_mut(),
            Entry::Vacant(_) if others >= ORIGINS_MAX => return None,
            Entry::Vacant(place) => place.insert(Line::default()),
        };
        if line.count >= PER_ORIGIN_MAX {
            return None;
        }
        line.count += 1;
        Some(Place {
            origins: self.clone(),
            origin: origin.to_owned(),
            turn: Arc::clone(&line.turn),
        })
    }

    // Held for a few instructions and never while anything is awaited, hence the standard library's.
    fn lock(&self) -> MutexGuard<'_, HashMap<OwnedServerName, Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = self.origins.lock();
        if let Entry::Occupied(mut line) = lines.entry(self.origin.clone()) {
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
        let origins = Origins::default();
        let (one, two) = (server_name!("one.example"), server_name!("two.example"));
        let places: Vec<_> = (0..PER_ORIGIN_MAX).map(|_| origins.enter(one)).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(origins.enter(one).is_none());
        assert!(origins.enter(two).is_some());
        drop(places);
        assert!(origins.enter(one).is_some());
        assert!(origins.lock().is_empty());
    }
}
