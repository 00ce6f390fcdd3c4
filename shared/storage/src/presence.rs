//! Who is there: the ephemeral chain's other state, in memory and in no table.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use plexus_core::{
    ids::UserNid,
    position::{Epoch, Sequence},
    row::PresenceRow,
};

use crate::{Store, recent::Latest};

/// Most users that are remembered; beyond, the half of them that changed longest ago is forgotten. The master tells of fewer.
const USERS_MAX: usize = 40_000;
/// Most changes that are remembered in their order.
const RECENT_MAX: usize = 8_192;

/// The state of the ephemeral chain.
#[derive(Debug)]
pub(crate) struct Presences {
    users_max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    epoch: Epoch,
    users: HashMap<UserNid, StoredPresence>,
    recent: Latest<UserNid>,
}

/// What a user is doing, and since when this is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPresence {
    /// The place on the ephemeral chain that told of it.
    pub position: Sequence,
    /// What was told.
    pub row: Arc<PresenceRow>,
}

impl Presences {
    pub(crate) fn new() -> Self {
        Self {
            users_max: USERS_MAX,
            state: Mutex::new(State::new(0)),
        }
    }

    /// A row of the ephemeral chain: what a user is doing now.
    pub(crate) fn change(&self, epoch: Epoch, position: Sequence, row: &PresenceRow) {
        let mut state = self.lock();
        state.enter(epoch);
        state.recent.push(position, row.user);
        let row = Arc::new(row.clone());
        state.users.insert(row.user, StoredPresence { position, row });
        if state.users.len() > self.users_max {
            let mut positions: Vec<Sequence> = state.users.values().map(|stored| stored.position).collect();
            let middle = positions.len() / 2;
            let (_, &mut floor, _) = positions.select_nth_unstable(middle);
            state.users.retain(|_, stored| stored.position >= floor);
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
            users: HashMap::new(),
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
    /// What was last told of a user, in this epoch of the ephemeral chain.
    pub fn presence(&self, user: UserNid) -> Option<StoredPresence> {
        self.caches().presence.lock().users.get(&user).cloned()
    }

    /// What was told of those of these users of whom anything was.
    pub fn presences_of(&self, users: impl IntoIterator<Item = UserNid>) -> Vec<StoredPresence> {
        let state = self.caches().presence.lock();
        if state.users.is_empty() {
            return Vec::new();
        }
        users
            .into_iter()
            .filter_map(|user| state.users.get(&user).cloned())
            .collect()
    }

    /// Everything that was told, in the order of the telling.
    pub fn presences(&self) -> Vec<PresenceRow> {
        let mut all: Vec<StoredPresence> = self.caches().presence.lock().users.values().cloned().collect();
        all.sort_unstable_by_key(|stored| stored.position);
        all.iter().map(|stored| PresenceRow::clone(&stored.row)).collect()
    }

    /// Who has changed after a place on the ephemeral chain, each once, as he is now.
    pub fn presences_changed(&self, after: Sequence) -> Vec<StoredPresence> {
        let state = self.caches().presence.lock();
        let Some(changes) = state.recent.after(after) else {
            let all = state.users.values();
            return all.filter(|stored| stored.position > after).cloned().collect();
        };
        changes
            .iter()
            .filter_map(|user| state.users.get(user).cloned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use plexus_core::row::PresenceState;

    use super::*;

    fn row(user: i64, state: PresenceState) -> PresenceRow {
        PresenceRow {
            user: UserNid(user),
            state,
            status_msg: None,
            last_active_ms: 1,
            currently_active: false,
        }
    }

    #[test]
    fn another_epoch_begins_empty() {
        let presences = Presences::new();
        presences.change(1, 4, &row(7, PresenceState::Online));
        assert_eq!(presences.lock().users[&UserNid(7)].position, 4);
        presences.change(2, 1, &row(8, PresenceState::Online));
        assert!(!presences.lock().users.contains_key(&UserNid(7)));
        presences.enter(3);
        assert!(presences.lock().users.is_empty());
        assert_eq!(presences.lock().recent.after(0), None);
    }

    #[test]
    fn those_who_changed_long_ago_are_forgotten_first() {
        let presences = Presences {
            users_max: 4,
            ..Presences::new()
        };
        for user in 1..=5 {
            presences.change(1, user, &row(user, PresenceState::Online));
        }
        let mut left: Vec<i64> = presences.lock().users.keys().map(|user| user.0).collect();
        left.sort_unstable();
        assert_eq!(left, [3, 4, 5]);
    }
}
