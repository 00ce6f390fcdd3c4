//! Who is there: what users and their devices have said, and for how long it holds.
//!
//! A user is online while a device of his is, and has done something lately; changes are gathered and told together, so that many users who come and go
//! at once do not wake everybody for each of them.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#presence>

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use plexus_core::{
    ids::UserNid,
    row::{PresenceRow, PresenceState},
};
use tokio::time::Instant;

/// How long somebody who does nothing is still shown as online.
const IDLE_AFTER: Duration = Duration::from_secs(300);
/// How long after a change of leader a user is taken to be as he was: his device says so again within its own pause.
const TAKEN_OVER_FOR: Duration = Duration::from_secs(60);
/// Least time between two tellings in the long run: whoever changes in between is told of together with the others.
const TELL_EVERY: Duration = Duration::from_millis(200);
/// How far tellings may be ahead of that after a quiet time, so that the first to come are told of at once.
const TELL_AHEAD: Duration = Duration::from_secs(2);
/// Users told of in one frame. The others follow in the next.
const USERS_PER_FRAME_MAX: usize = 500;
/// Users who are there; of others it is not known.
const USERS_MAX: usize = 20_000;
/// Users of other servers among them.
const REMOTE_USERS_MAX: usize = 10_000;
/// How long a user of another server is as his server has said: servers say it again every 25 minutes.
const SAID_FOR: Duration = Duration::from_secs(30 * 60);
/// Devices of one user that count.
const DEVICES_MAX: usize = 10;

/// What was heard of a user.
#[derive(Debug)]
pub(crate) struct Word<'a> {
    /// From which of his devices.
    pub(crate) device: &'a str,
    pub(crate) state: PresenceState,
    /// How long it holds unless it is said again.
    pub(crate) hold: Duration,
    /// The status message of a user who says himself how he is; nothing if only a device syncs.
    pub(crate) said: Option<Said>,
}

/// What a user says himself: his status message, if he has one.
pub(crate) type Said = Option<String>;

/// Everybody who is there.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    users: HashMap<UserNid, Present>,
    /// Those who may have to be told of.
    untold: BTreeSet<UserNid>,
    /// How many are users of other servers.
    remote: usize,
    /// When the next telling would be due if all of them kept their distance.
    next_due: Option<Instant>,
}

#[derive(Debug)]
struct Present {
    devices: HashMap<String, Device>,
    /// What his server has said, of a user of another one.
    said: Option<SaidByServer>,
    status_msg: Option<String>,
    active: Instant,
    active_ms: i64,
    /// What others know.
    told: Option<(PresenceState, Option<String>)>,
}

#[derive(Clone, Copy, Debug)]
struct SaidByServer {
    state: PresenceState,
    currently_active: bool,
    until: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Device {
    state: PresenceState,
    until: Instant,
}

impl Presence {
    /// Who was there under the leader before.
    pub(crate) fn taken_over(rows: &[PresenceRow], now: Instant) -> Self {
        let there = rows.iter().filter(|row| row.state != PresenceState::Offline);
        let users = there.take(USERS_MAX).map(|row| {
            let device = Device {
                state: row.state,
                until: now + TAKEN_OVER_FOR,
            };
            let present = Present {
                devices: HashMap::from([(String::new(), device)]),
                said: None,
                status_msg: row.status_msg.clone(),
                active: now,
                active_ms: row.last_active_ms,
                told: Some((row.state, row.status_msg.clone())),
            };
            (row.user, present)
        });
        Self {
            users: users.collect(),
            ..Self::default()
        }
    }

    /// Takes a word on a user; `before` is what was last told of him.
    pub(crate) fn hear(
        &mut self,
        user: UserNid,
        word: &Word<'_>,
        before: Option<&PresenceRow>,
        now: Instant,
        now_ms: i64,
    ) {
        if !self.users.contains_key(&user) {
            let is_full = self.users.len() >= USERS_MAX;
            if is_full || (word.state == PresenceState::Offline && word.said.is_none()) {
                return;
            }
        }
        let present = self.users.entry(user).or_insert_with(|| Present {
            devices: HashMap::new(),
            said: None,
            status_msg: before.and_then(|row| row.status_msg.clone()),
            active: now,
            active_ms: now_ms,
            told: before.map(|row| (row.state, row.status_msg.clone())),
        });
        present.hear(word, now, now_ms);
        self.untold.insert(user);
    }

    /// Takes what another server says of a user of its own; `before` is what was last told of him.
    pub(crate) fn hear_from_server(&mut self, row: PresenceRow, before: Option<&PresenceRow>, now: Instant) {
        let known = self.users.get(&row.user);
        let was_remote = known.is_some_and(|present| present.said.is_some());
        if !was_remote && self.remote >= REMOTE_USERS_MAX {
            return;
        }
        if known.is_none() {
            let says_nothing = row.state == PresenceState::Offline && row.status_msg.is_none();
            if says_nothing || self.users.len() >= USERS_MAX {
                return;
            }
        }
        self.remote += usize::from(!was_remote);
        let present = self.users.entry(row.user).or_insert_with(|| Present {
            devices: HashMap::new(),
            said: None,
            status_msg: None,
            active: now,
            active_ms: row.last_active_ms,
            told: before.map(|row| (row.state, row.status_msg.clone())),
        });
        present.said = Some(SaidByServer {
            state: row.state,
            currently_active: row.currently_active,
            until: now + SAID_FOR,
        });
        present.status_msg = row.status_msg;
        present.active_ms = row.last_active_ms;
        self.untold.insert(row.user);
    }

    /// A user did something.
    pub(crate) fn act(&mut self, user: UserNid, now: Instant, now_ms: i64) {
        let Some(present) = self.users.get_mut(&user) else {
            return;
        };
        (present.active, present.active_ms) = (now, now_ms);
        for device in present.devices.values_mut() {
            if device.state == PresenceState::Unavailable {
                device.state = PresenceState::Online;
            }
        }
        if present.has_changed(now) {
            self.untold.insert(user);
        }
    }

    /// Finds those who have gone, or become idle.
    pub(crate) fn expire(&mut self, now: Instant) {
        for (user, present) in &self.users {
            if present.has_changed(now) {
                self.untold.insert(*user);
            }
        }
    }

    /// What is to be told now; nothing if something was told a moment ago.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<PresenceRow> {
        let mut rows = Vec::new();
        if self.next_due.is_some_and(|due| due > now + TELL_AHEAD) {
            return rows;
        }
        while rows.len() < USERS_PER_FRAME_MAX
            && let Some(user) = self.untold.pop_first()
        {
            let Some(present) = self.users.get_mut(&user) else {
                continue;
            };
            if !present.has_changed(now) {
                if present.told.is_none() {
                    // He went before anybody heard that he had come.
                    self.remote -= usize::from(present.said.is_some());
                    self.users.remove(&user);
                }
                continue;
            }
            let row = present.row(user, now);
            if row.state == PresenceState::Offline {
                self.remote -= usize::from(present.said.is_some());
                self.users.remove(&user);
            } else {
                present.told = Some((row.state, row.status_msg.clone()));
            }
            rows.push(row);
        }
        if !rows.is_empty() {
            self.next_due = Some(self.next_due.map_or(now, |due| due.max(now)) + TELL_EVERY);
        }
        rows
    }

    /// Whether something of a user has not been told yet.
    pub(crate) fn is_untold(&self, user: UserNid) -> bool {
        self.untold.contains(&user)
    }

    /// Whether nobody is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

impl Present {
    fn hear(&mut self, word: &Word<'_>, now: Instant, now_ms: i64) {
        self.devices.retain(|_, device| device.until > now);
        let before = self.devices.get(word.device).map(|device| device.state);
        // Coming online is something one does; staying online is not.
        let comes = word.state == PresenceState::Online && before != Some(PresenceState::Online);
        if comes || word.said.is_some() {
            (self.active, self.active_ms) = (now, now_ms);
        }
        if let Some(status_msg) = &word.said {
            self.status_msg.clone_from(status_msg);
            for device in self.devices.values_mut() {
                device.state = word.state;
            }
        }
        if self.devices.len() >= DEVICES_MAX && before.is_none() {
            let shortest = self.devices.iter().min_by_key(|(_, device)| device.until);
            if let Some(shortest) = shortest.map(|(name, _)| name.clone()) {
                self.devices.remove(&shortest);
            }
        }
        let device = Device {
            state: word.state,
            until: now + word.hold,
        };
        self.devices.insert(word.device.to_owned(), device);
    }

    fn state(&self, now: Instant) -> PresenceState {
        if let Some(said) = self.said {
            return if said.until > now {
                said.state
            } else {
                PresenceState::Offline
            };
        }
        let there = self.devices.values().filter(|device| device.until > now);
        let mut best = PresenceState::Offline;
        for device in there {
            match device.state {
                PresenceState::Online if now < self.active + IDLE_AFTER => return PresenceState::Online,
                PresenceState::Online | PresenceState::Unavailable => best = PresenceState::Unavailable,
                PresenceState::Offline => {}
            }
        }
        best
    }

    fn has_changed(&self, now: Instant) -> bool {
        let state = self.state(now);
        match &self.told {
            Some((told, status_msg)) => *told != state || *status_msg != self.status_msg,
            None => state != PresenceState::Offline || self.status_msg.is_some(),
        }
    }

    fn row(&self, user: UserNid, now: Instant) -> PresenceRow {
        let state = self.state(now);
        PresenceRow {
            user,
            state,
            status_msg: self.status_msg.clone(),
            last_active_ms: self.active_ms,
            currently_active: self.said.map_or(state == PresenceState::Online, |said| {
                said.currently_active && said.until > now
            }),
        }
    }
}

#[cfg(test)]
mod tests;
