//! Who is typing, and until when.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use plexus_core::ids::{RoomNid, UserNid};
use tokio::time::Instant;

/// Longest a user is shown as typing without saying so again.
pub(crate) const TIMEOUT_MAX: Duration = Duration::from_secs(120);
/// Users shown as typing in one room; more are not.
const USERS_MAX: usize = 50;

/// The typists of every room.
#[derive(Debug, Default)]
pub(crate) struct Typists(HashMap<RoomNid, BTreeMap<UserNid, Instant>>);

impl Typists {
    /// Sets one user's typing. Everybody who is typing there, if that changed.
    pub(crate) fn set(&mut self, room: RoomNid, user: UserNid, timeout: Duration) -> Option<Vec<UserNid>> {
        let users = self.0.entry(room).or_default();
        let changed = if timeout.is_zero() {
            users.remove(&user).is_some()
        } else if users.len() < USERS_MAX || users.contains_key(&user) {
            users.insert(user, Instant::now() + timeout).is_none()
        } else {
            false
        };
        let now = self.typing(room);
        changed.then_some(now)
    }

    /// Ends the typing of those whose time is over. The rooms where that changed anything, with everybody who is still typing there.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<(RoomNid, Vec<UserNid>)> {
        let mut changed = Vec::new();
        for (room, users) in &mut self.0 {
            let before = users.len();
            users.retain(|_, until| *until > now);
            if users.len() < before {
                changed.push(*room);
            }
        }
        changed.into_iter().map(|room| (room, self.typing(room))).collect()
    }

    fn typing(&mut self, room: RoomNid) -> Vec<UserNid> {
        let users: Vec<UserNid> = self
            .0
            .get(&room)
            .into_iter()
            .flat_map(BTreeMap::keys)
            .copied()
            .collect();
        if users.is_empty() {
            self.0.remove(&room);
        }
        users
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: RoomNid = RoomNid(1);

    #[test]
    fn only_changes_are_told_and_silence_ends_typing() {
        let mut typists = Typists::default();
        let second = Duration::from_secs(1);
        assert_eq!(typists.set(ROOM, UserNid(2), second), Some(vec![UserNid(2)]));
        assert_eq!(
            typists.set(ROOM, UserNid(1), 5 * second),
            Some(vec![UserNid(1), UserNid(2)])
        );
        assert_eq!(typists.set(ROOM, UserNid(2), 2 * second), None);
        assert_eq!(typists.set(ROOM, UserNid(3), Duration::ZERO), None);
        assert!(typists.expire(Instant::now() + second).is_empty());
        let ended = typists.expire(Instant::now() + 3 * second);
        assert_eq!(ended, [(ROOM, vec![UserNid(1)])]);
        assert_eq!(typists.set(ROOM, UserNid(1), Duration::ZERO), Some(vec![]));
        assert!(typists.0.is_empty());
    }
}
