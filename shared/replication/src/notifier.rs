//! Wakes who listens when a row touches him.
//!
//! A user who has listened once stays *warm*: his rooms are known here and follow the membership rows, so that listening again costs one look-up and a
//! row costs one step for each warm user of its room, whether he listens at the moment or not.

use std::{
    collections::{HashMap, HashSet, hash_map},
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use ::metrics::gauge;
use plexus_core::{
    ids::{RoomNid, UserNid},
    row::{EventRow, Membership, Row, StateRow},
};
use tokio::{sync::Notify, time::Instant};

use crate::{metrics, receiver::RoomsOf};

#[cfg(test)]
mod tests;

/// Users kept warm that do not listen now. Those that do are bounded by the server's connections.
pub(crate) const WARM_USERS_MAX: usize = 20_000;
/// Rooms known of one user. A user with more is woken by every row.
pub(crate) const ROOMS_PER_USER_MAX: usize = 10_000;
/// Users who have not listened from one sweep to the next are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(300);
/// The same while more users are warm than should be.
const SWEEP_EVERY_FULL: Duration = Duration::from_secs(5);

/// Who is listening, by user and by room.
#[derive(Debug)]
pub(crate) struct Notifier {
    inner: Mutex<Inner>,
}

impl Default for Notifier {
    fn default() -> Self {
        let inner = Inner {
            users: HashMap::new(),
            rooms: HashMap::new(),
            restless: HashSet::new(),
            swept: Instant::now(),
        };
        Self {
            inner: Mutex::new(inner),
        }
    }
}

#[derive(Debug)]
struct Inner {
    users: HashMap<UserNid, Warm>,
    rooms: HashMap<RoomNid, HashMap<UserNid, Arc<Bell>>>,
    /// Users whose rooms are not known, woken by every row.
    restless: HashSet<UserNid>,
    swept: Instant,
}

/// What a row rings.
#[derive(Debug, Default)]
struct Bell {
    rung: AtomicU64,
    sleepers: Notify,
    listeners: AtomicUsize,
    /// Whether somebody listened since the last sweep.
    used: AtomicBool,
}

impl Bell {
    fn ring(&self) {
        self.rung.fetch_add(1, SeqCst);
        self.sleepers.notify_waiters();
    }
}

/// What is known of a user.
#[derive(Debug, Default)]
struct Warm {
    bell: Arc<Bell>,
    rooms: HashSet<RoomNid>,
    /// While the rooms are being loaded: what membership rows said since.
    changed: HashMap<RoomNid, bool>,
}

/// One request's ear. Dropping it is how listening ends.
#[derive(Debug)]
pub struct Listener {
    bell: Arc<Bell>,
    heard: u64,
}

impl Listener {
    /// Returns once a row has touched the user, or a room he is joined to, since the listener was made or last returned.
    pub async fn changed(&mut self) {
        loop {
            // Made before the look, so that a ring between the look and the wait is not missed.
            let sleeping = self.bell.sleepers.notified();
            let rung = self.bell.rung.load(SeqCst);
            if rung != self.heard {
                self.heard = rung;
                return;
            }
            sleeping.await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.bell.listeners.fetch_sub(1, SeqCst);
    }
}

impl Notifier {
    /// Listens for a user. `rooms` is what he is joined to; it is awaited only if he is not warm.
    pub(crate) async fn listen<R, E>(
        &self,
        user: UserNid,
        rooms: impl Future<Output = Result<R, E>>,
    ) -> Result<Listener, E>
    where
        R: IntoIterator<Item = RoomNid>,
    {
        let (listener, known) = self.register(user);
        if !known {
            let rooms = rooms.await?;
            self.lock().learn(user, rooms);
        }
        Ok(listener)
    }

    /// Wakes whom a frame's rows touch, each once for a room, and follows memberships. `rooms_of` tells the rooms of a user who is not warm, if it can.
    pub(crate) fn touch(&self, rows: &[Row], rooms_of: &RoomsOf) {
        let mut inner = self.lock();
        if inner.users.is_empty() || rows.is_empty() {
            return;
        }
        let mut rung: Vec<RoomNid> = Vec::new();
        for row in rows {
            match row {
                Row::Event(event) => inner.event(event, &mut rung),
                Row::State(row) => inner.state(row, &mut rung),
                Row::Redaction { room, .. } | Row::Typing { room, .. } | Row::Partial { room } => {
                    inner.ring_room(*room, &mut rung);
                }
                Row::Receipt(receipt) => inner.ring_room(receipt.room, &mut rung),
                Row::Account { user }
                | Row::Device { user, .. }
                | Row::Profile { user }
                | Row::AccountData { user, .. }
                | Row::KeyCounts { user, .. }
                | Row::ToDevice { user, .. }
                | Row::Forgotten { user, .. } => inner.ring_user(*user),
                Row::KeyView { viewer, .. } => inner.ring_user(*viewer),
                Row::DeviceList { user } => inner.ring_sharers(*user, rooms_of, &mut rung),
                Row::Presence(presence) => inner.ring_peers(presence.user, rooms_of, &mut rung),
                // Nobody waits for these.
                Row::Room { .. }
                | Row::Purged { .. }
                | Row::Pusher { .. }
                | Row::Unlisted { .. }
                | Row::OutgoingToDevice { .. } => {}
            }
        }
        for user in &inner.restless {
            inner.ring_user(*user);
        }
    }

    /// Nothing that is known of rooms holds any more: everybody wakes, and is woken by every row until his rooms are known again.
    pub(crate) fn forget_rooms(&self) {
        let mut inner = self.lock();
        let Inner {
            users, rooms, restless, ..
        } = &mut *inner;
        rooms.clear();
        for (user, warm) in users {
            warm.rooms.clear();
            warm.changed.clear();
            restless.insert(*user);
            warm.bell.ring();
        }
    }

    /// The listener, and whether the user's rooms are known.
    fn register(&self, user: UserNid) -> (Listener, bool) {
        let mut inner = self.lock();
        if !inner.users.contains_key(&user) {
            inner.sweep();
        }
        let Inner { users, restless, .. } = &mut *inner;
        let warm = match users.entry(user) {
            hash_map::Entry::Occupied(entry) => entry.into_mut(),
            hash_map::Entry::Vacant(entry) => {
                restless.insert(user);
                entry.insert(Warm::default())
            }
        };
        let bell = Arc::clone(&warm.bell);
        bell.listeners.fetch_add(1, SeqCst);
        bell.used.store(true, SeqCst);
        let heard = bell.rung.load(SeqCst);
        (Listener { bell, heard }, !restless.contains(&user))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while the notifier is locked")
    }
}

impl Inner {
    /// A user's rooms as loaded, corrected by what rows have said since the loading began.
    fn learn(&mut self, user: UserNid, loaded: impl IntoIterator<Item = RoomNid>) {
        let Some(warm) = self.users.get_mut(&user) else { return };
        // Another listener of the same user was faster, or he is in more rooms than are followed.
        if !self.restless.contains(&user) {
            return;
        }
        let mut rooms: HashSet<RoomNid> = loaded.into_iter().take(ROOMS_PER_USER_MAX + 1).collect();
        for (room, joined) in warm.changed.drain() {
            if joined {
                rooms.insert(room);
            } else {
                rooms.remove(&room);
            }
        }
        if rooms.len() > ROOMS_PER_USER_MAX {
            return;
        }
        for room in &rooms {
            self.rooms
                .entry(*room)
                .or_default()
                .insert(user, Arc::clone(&warm.bell));
        }
        warm.rooms = rooms;
        self.restless.remove(&user);
    }

    fn event(&mut self, event: &EventRow, rung: &mut Vec<RoomNid>) {
        self.ring_room(event.room, rung);
        if let Some((user, membership)) = event.membership {
            self.ring_user(user);
            self.follow(user, event.room, membership == Membership::Join);
        }
    }

    fn state(&mut self, row: &StateRow, rung: &mut Vec<RoomNid>) {
        self.ring_room(row.room, rung);
        for (user, membership, _) in &row.memberships {
            self.ring_user(*user);
            self.follow(*user, row.room, *membership == Membership::Join);
        }
    }

    fn follow(&mut self, user: UserNid, room: RoomNid, joined: bool) {
        let Some(warm) = self.users.get_mut(&user) else { return };
        if self.restless.contains(&user) {
            warm.changed.insert(room, joined);
        } else if joined {
            warm.rooms.insert(room);
            self.rooms.entry(room).or_default().insert(user, Arc::clone(&warm.bell));
        } else if warm.rooms.remove(&room) {
            self.leave(user, room);
        }
    }

    fn leave(&mut self, user: UserNid, room: RoomNid) {
        if let hash_map::Entry::Occupied(mut members) = self.rooms.entry(room) {
            members.get_mut().remove(&user);
            if members.get().is_empty() {
                members.remove();
            }
        }
    }

    fn ring_room(&self, room: RoomNid, rung: &mut Vec<RoomNid>) {
        if rung.contains(&room) {
            return;
        }
        rung.push(room);
        for bell in self.rooms.get(&room).into_iter().flat_map(HashMap::values) {
            bell.ring();
        }
    }

    fn ring_user(&self, user: UserNid) {
        if let Some(warm) = self.users.get(&user) {
            warm.bell.ring();
        }
    }

    /// Wakes a user and whoever is in a room with him; everybody, if his rooms are neither known here nor at hand.
    fn ring_sharers(&self, user: UserNid, rooms_of: &RoomsOf, rung: &mut Vec<RoomNid>) {
        match self.users.get(&user) {
            Some(warm) if !self.restless.contains(&user) => {
                warm.bell.ring();
                for room in &warm.rooms {
                    self.ring_room(*room, rung);
                }
            }
            Some(_) | None => match rooms_of(user) {
                Some(rooms) => {
                    self.ring_user(user);
                    for room in rooms {
                        self.ring_room(room, rung);
                    }
                }
                None => self.users.values().for_each(|warm| warm.bell.ring()),
            },
        }
    }

    /// Wakes a user and whoever is in a room with him; of those of whom that is not known, nobody. Presence changes so often that waking everybody would
    /// keep everybody awake, and who is not woken learns of it with the next thing that happens.
    fn ring_peers(&self, user: UserNid, rooms_of: &RoomsOf, rung: &mut Vec<RoomNid>) {
        self.ring_user(user);
        let warm = self.users.get(&user).filter(|_| !self.restless.contains(&user));
        if let Some(warm) = warm {
            warm.rooms.iter().for_each(|room| self.ring_room(*room, rung));
        } else {
            for room in rooms_of(user).unwrap_or_default() {
                self.ring_room(room, rung);
            }
        }
    }

    /// Forgets users who have not listened since the last sweep; all that do not listen now while there are too many.
    fn sweep(&mut self) {
        let full = self.users.len() >= WARM_USERS_MAX;
        if self.swept.elapsed() < if full { SWEEP_EVERY_FULL } else { SWEEP_EVERY } {
            return;
        }
        self.swept = Instant::now();
        let idle: Vec<UserNid> = self
            .users
            .iter()
            .filter(|(_, warm)| {
                let used = warm.bell.used.swap(false, SeqCst);
                warm.bell.listeners.load(SeqCst) == 0 && (full || !used)
            })
            .map(|(user, _)| *user)
            .collect();
        for user in idle {
            self.restless.remove(&user);
            let rooms = self.users.remove(&user).map(|warm| warm.rooms).unwrap_or_default();
            for room in rooms {
                self.leave(user, room);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        gauge!(metrics::LISTENERS_WARM).set(self.users.len() as f64);
    }
}
