//! Gives out interned ids.
//!
//! A number is reserved in memory when it is first needed and written, by an upsert that any lane may repeat, with every change set that uses it until
//! the store knows it. So two lanes that meet the same new user agree on its number without waiting for each other.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use plexus_core::ids::{EventNid, RoomNid, StateKeyNid, UserNid};
use plexus_storage::{Store, StoreError, db::Statement, nids::NextNids, state_keys, users};
use ruma::UserId;

/// Reservations remembered. One that is forgotten has long been committed: lanes read the store first.
const RESERVED_MAX: usize = 100_000;

/// The next number of each kind, and the reservations.
#[derive(Debug)]
pub(crate) struct Interner {
    store: Store,
    next_room: AtomicI64,
    next_user: AtomicI64,
    next_event: AtomicI64,
    next_state_key: AtomicI64,
    users: Mutex<Reserved<String>>,
    state_keys: Mutex<Reserved<(String, String)>>,
}

/// An interned id, and what must be written before it may be used.
#[derive(Debug)]
pub(crate) struct Interned<T> {
    pub(crate) nid: T,
    pub(crate) upsert: Option<Statement>,
}

impl<T> Interned<T> {
    fn known(nid: T) -> Self {
        Self { nid, upsert: None }
    }

    /// The number, with its upsert added to the statements that use it.
    pub(crate) fn with(self, statements: &mut Vec<Statement>) -> T {
        statements.extend(self.upsert);
        self.nid
    }
}

impl Interner {
    pub(crate) fn new(store: Store, next: NextNids) -> Self {
        Self {
            store,
            next_room: next.room.into(),
            next_user: next.user.into(),
            next_event: next.event.into(),
            next_state_key: next.state_key.into(),
            users: Mutex::default(),
            state_keys: Mutex::default(),
        }
    }

    pub(crate) fn new_room(&self) -> RoomNid {
        RoomNid(self.next_room.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn new_event(&self) -> EventNid {
        EventNid(self.next_event.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) async fn user(&self, id: &UserId) -> Result<Interned<UserNid>, StoreError> {
        if let Some(nid) = self.store.user_nid(id).await? {
            return Ok(Interned::known(nid));
        }
        let mut reserved = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let nid = UserNid(reserved.get_or_reserve(id.as_str().to_owned(), &self.next_user));
        Ok(Interned {
            nid,
            upsert: Some(users::insert(nid, id)),
        })
    }

    pub(crate) async fn state_key(&self, kind: &str, key: &str) -> Result<Interned<StateKeyNid>, StoreError> {
        if let Some(nid) = self.store.state_key_nid(kind, key).await? {
            return Ok(Interned::known(nid));
        }
        let mut reserved = self.state_keys.lock().unwrap_or_else(PoisonError::into_inner);
        let nid = StateKeyNid(reserved.get_or_reserve((kind.to_owned(), key.to_owned()), &self.next_state_key));
        Ok(Interned {
            nid,
            upsert: Some(state_keys::insert(nid, kind, key)),
        })
    }

    /// The number of a pair that may be reserved but not yet committed. Never reserves one.
    pub(crate) async fn find_state_key(&self, kind: &str, key: &str) -> Result<Option<StateKeyNid>, StoreError> {
        if let Some(nid) = self.store.state_key_nid(kind, key).await? {
            return Ok(Some(nid));
        }
        let reserved = self.state_keys.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(reserved.get(&(kind.to_owned(), key.to_owned())).map(StateKeyNid))
    }
}

/// Names with a number given to each, oldest forgotten first.
#[derive(Debug)]
struct Reserved<K> {
    numbers: HashMap<K, i64>,
    order: VecDeque<K>,
}

impl<K> Default for Reserved<K> {
    fn default() -> Self {
        Self {
            numbers: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<K: Clone + Eq + std::hash::Hash> Reserved<K> {
    fn get(&self, name: &K) -> Option<i64> {
        self.numbers.get(name).copied()
    }

    fn get_or_reserve(&mut self, name: K, next: &AtomicI64) -> i64 {
        if let Some(number) = self.get(&name) {
            return number;
        }
        if self.order.len() == RESERVED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.numbers.remove(&oldest);
        }
        let number = next.fetch_add(1, Ordering::Relaxed);
        self.order.push_back(name.clone());
        self.numbers.insert(name, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_until_it_is_forgotten() {
        let next = AtomicI64::new(7);
        let mut reserved = Reserved::default();
        assert_eq!(reserved.get_or_reserve("a", &next), 7);
        assert_eq!(reserved.get_or_reserve("b", &next), 8);
        assert_eq!(reserved.get_or_reserve("a", &next), 7);
        assert_eq!(reserved.get(&"c"), None);
        for i in 0..RESERVED_MAX {
            reserved.get_or_reserve(Box::leak(i.to_string().into_boxed_str()), &next);
        }
        assert_eq!(reserved.get(&"a"), None);
        assert_eq!(reserved.order.len(), reserved.numbers.len());
    }
}
