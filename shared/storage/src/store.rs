//! The store: what the database holds, with caches in front.
//!
//! Caches are of two kinds: of things that never change, and of things that log rows change. [`Store::apply`] alone changes one. A read may see what is
//! newer than the rows this process has applied (the database is ahead of it), so whatever has an order carries its place in the log, and whoever answers
//! at a position takes what is at or before it.

mod apply;

use std::{fmt, sync::Arc};

use crate::{
    access_tokens::Sessions,
    account_data::AccountData,
    accounts::{self, Accounts},
    cache::{CacheUse, usage},
    changes::Changes,
    db::Database,
    device_list_changes::{self, DeviceListChanges},
    events::Events,
    filters::{self, Filters},
    key_counts::{self, DeviceKey, KeyCountsCache},
    member_changes::{self, MemberChanges},
    memberless::{self, Memberless},
    memberships::Views,
    outgoing::OutgoingChanges,
    partial_rooms::{self, PartialCache},
    presence::Presences,
    profiles::{self, Profiles},
    pushers::PushersChanged,
    receipts::{self, Receipts},
    recent::Recent,
    relations::Parents,
    room_servers::RoomServersCache,
    rooms::Rooms,
    state_keys::StateKeys,
    state_nodes::{self, StateNodes},
    summaries::Summaries,
    timeline::{self, Timelines},
    to_device::{self, WaitingCache},
    typing::Typing,
    users::Users,
};

/// A process's view of the database. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    db: Database,
    caches: Caches,
}

/// Everything that is kept in memory.
pub(crate) struct Caches {
    // What never changes.
    pub(crate) users: Users,
    pub(crate) rooms: Rooms,
    pub(crate) state_nodes: StateNodes,
    pub(crate) memberless: Memberless,
    pub(crate) filters: Filters,
    pub(crate) summaries: Summaries,
    // What log rows change.
    pub(crate) events: Events,
    pub(crate) state_keys: StateKeys,
    pub(crate) accounts: Accounts,
    pub(crate) sessions: Sessions,
    pub(crate) profiles: Profiles,
    pub(crate) timelines: Timelines,
    pub(crate) memberships: Views,
    pub(crate) partial_rooms: PartialCache,
    pub(crate) room_servers: RoomServersCache,
    pub(crate) receipts: Receipts,
    pub(crate) account_data: AccountData,
    pub(crate) key_counts: KeyCountsCache,
    pub(crate) to_device: WaitingCache,
    // What only log rows tell.
    pub(crate) changes: Changes,
    pub(crate) parents: Parents,
    pub(crate) device_lists: DeviceListChanges,
    pub(crate) key_counts_changes: Recent<DeviceKey>,
    pub(crate) member_changes: MemberChanges,
    pub(crate) typing: Typing,
    pub(crate) pushers_changed: PushersChanged,
    pub(crate) presence: Presences,
    pub(crate) outgoing: OutgoingChanges,
}

impl Store {
    /// A store over an open database, with nothing in memory.
    pub fn new(db: Database) -> Self {
        let caches = Caches {
            users: Users::new(),
            rooms: Rooms::new(),
            state_nodes: state_nodes::cache(),
            memberless: memberless::cache(),
            filters: filters::cache(),
            summaries: Summaries::new(),
            events: Events::new(),
            state_keys: StateKeys::new(),
            accounts: accounts::cache(),
            sessions: Sessions::new(),
            profiles: profiles::cache(),
            timelines: timeline::cache(),
            memberships: Views::new(),
            partial_rooms: partial_rooms::cache(),
            room_servers: RoomServersCache::new(),
            receipts: receipts::cache(),
            account_data: AccountData::new(),
            key_counts: key_counts::cache(),
            to_device: to_device::cache(),
            changes: Changes::new(),
            parents: Parents::new(),
            device_lists: device_list_changes::recent(),
            key_counts_changes: key_counts::recent(),
            member_changes: member_changes::recent(),
            typing: Typing::new(),
            pushers_changed: PushersChanged::default(),
            presence: Presences::new(),
            outgoing: OutgoingChanges::new(),
        };
        Self(Arc::new(Inner { db, caches }))
    }

    /// The database behind it.
    pub fn db(&self) -> &Database {
        &self.0.db
    }

    /// Drops everything that a log row could have changed: rows have been missed and are not coming. The state of the ephemeral chain stays.
    pub fn drop_mutable_caches(&self) {
        let caches = self.caches();
        // First, so that nothing takes "unchanged" from here and an old value from there.
        caches.changes.forget_all();
        caches.parents.forget_all();
        caches.device_lists.forget_all();
        caches.key_counts_changes.forget_all();
        caches.member_changes.forget_all();
        caches.events.forget_all();
        caches.state_keys.forget_absent();
        caches.accounts.forget_all();
        caches.sessions.forget_all();
        caches.profiles.forget_all();
        caches.timelines.forget_all();
        caches.memberships.forget_all();
        caches.partial_rooms.forget_all();
        caches.room_servers.forget_all();
        caches.receipts.forget_all();
        caches.account_data.forget_all();
        caches.pushers_changed.send_modify(|_| ());
        caches.outgoing.forget_all();
        caches.key_counts.forget_all();
        caches.to_device.forget_all();
    }

    /// How full each cache is.
    pub fn cache_use(&self) -> Vec<CacheUse> {
        let caches = self.caches();
        let mut all = vec![
            usage("state_nodes", &caches.state_nodes),
            usage("memberless", &caches.memberless),
            usage("filters", &caches.filters),
            caches.events.usage(),
            caches.room_servers.usage(),
            caches.accounts.usage("accounts"),
            caches.profiles.usage("profiles"),
            caches.timelines.usage("timelines"),
            caches.receipts.usage("receipts"),
            caches.account_data.usage(),
            caches.key_counts.usage("key_counts"),
            caches.to_device.usage("to_device"),
        ];
        all.extend(caches.state_keys.usage());
        let pairs = [
            caches.users.usage(),
            caches.rooms.usage(),
            caches.sessions.usage(),
            caches.memberships.usage(),
            caches.summaries.usage(),
        ];
        all.extend(pairs.into_iter().flatten());
        all
    }

    pub(crate) fn caches(&self) -> &Caches {
        &self.0.caches
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("db", &self.0.db).finish_non_exhaustive()
    }
}
