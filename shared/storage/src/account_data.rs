//! Table `account_data`: what users keep for themselves, in a room or in none. Tags, read markers, push rules and the list of ignored users are among it.
//!
//! Single entries are kept in memory, those that are not there as well. A sync reads what is new from the database, and only if something is: when each
//! user's last changed is in memory.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use plexus_core::{
    ids::{RoomNid, UserNid},
    position::Sequence,
};
use serde_json::value::RawValue;

use crate::{
    Store, StoreError,
    cache::{CacheUse, Changing, bounded},
    db::{DbRow, Statement, Value},
    sql::{Int as _, one_row, text},
};

/// Bounds the cache of entries.
const CACHE_BYTES: u64 = 16 << 20;

/// Most users whose last change is remembered; beyond, the half that has been quiet for longer is forgotten.
const USERS_MAX: usize = 200_000;

/// Most kinds of account data of a user in one room, or in none.
pub const KINDS_MAX: usize = 1_000;

/// What the column holds for account data that belongs to no room.
const NO_ROOM: RoomNid = RoomNid(0);

/// One piece of account data.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The room it belongs to.
    pub room: Option<RoomNid>,
    /// Its type.
    pub kind: String,
    /// When it was set.
    pub position: Sequence,
    /// What it says.
    pub content: Box<RawValue>,
}

/// Sets a piece of account data.
pub fn upsert(user: UserNid, room: Option<RoomNid>, kind: &str, position: Value, content: &RawValue) -> Statement {
    one_row(
        "-- account_data::upsert
        INSERT INTO account_data (user_nid, room_nid, kind, position, content) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (user_nid, room_nid, kind) DO UPDATE SET position = excluded.position, content = excluded.content",
        [
            user.int(),
            room.unwrap_or(NO_ROOM).int(),
            text(kind),
            position,
            crate::sql::bytes(content.get().as_bytes()),
        ],
    )
}

type Key = (UserNid, RoomNid, String);

/// What is in memory.
pub(crate) struct AccountData {
    entries: Changing<Key, Option<Arc<Entry>>>,
    last: Mutex<Last>,
}

/// The last change of each user.
struct Last {
    users_max: usize,
    /// A user who is not in `users` has changed nothing after this place and the place since which this process has heard every row.
    floor: Sequence,
    users: HashMap<UserNid, Sequence>,
}

impl AccountData {
    pub(crate) fn new() -> Self {
        Self {
            entries: Changing::new(bounded(CACHE_BYTES, 400, |(_, _, kind), entry| {
                let content = entry.as_ref().map_or(0, |entry| entry.content.get().len() + 100);
                (2 * kind.len() + content) as u64
            })),
            last: Mutex::new(Last {
                users_max: USERS_MAX,
                floor: 0,
                users: HashMap::new(),
            }),
        }
    }

    /// A piece of account data was set.
    pub(crate) fn change(&self, user: UserNid, room: Option<RoomNid>, kind: &str, position: Sequence) {
        self.entries.forget(&(user, room.unwrap_or(NO_ROOM), kind.to_owned()));
        let mut last = self.lock();
        last.users.insert(user, position);
        if last.users.len() > last.users_max {
            let mut all: Vec<Sequence> = last.users.values().copied().collect();
            let middle = all.len() / 2;
            let (_, &mut floor, _) = all.select_nth_unstable(middle);
            last.users.retain(|_, position| *position > floor);
            last.floor = floor;
        }
    }

    /// Account data may be gone, which nobody is told as a change.
    pub(crate) fn forget_entries(&self) {
        self.entries.forget_all();
    }

    pub(crate) fn forget_all(&self) {
        self.entries.forget_all();
        let mut last = self.lock();
        last.floor = 0;
        last.users.clear();
    }

    pub(crate) fn usage(&self) -> CacheUse {
        self.entries.usage("account_data")
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for AccountData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountData").finish_non_exhaustive()
    }
}

impl Store {
    /// One piece of account data, as new as this process knows.
    pub async fn account_data(
        &self,
        user: UserNid,
        room: Option<RoomNid>,
        kind: &str,
    ) -> Result<Option<Arc<Entry>>, StoreError> {
        let key = (user, room.unwrap_or(NO_ROOM), kind.to_owned());
        let entries = &self.caches().account_data.entries;
        entries.get_or_load(&key, || self.load_account_data(&key)).await
    }

    /// A place after which none of a user's account data has changed that this process knows of. It may be later than the last change, and even later than
    /// where this process is, when it does not know.
    pub fn account_data_changed(&self, user: UserNid) -> Sequence {
        let caches = self.caches();
        let heard_since = caches.changes.floor();
        let last = caches.account_data.lock();
        let known = last.users.get(&user).copied();
        known.unwrap_or_else(|| last.floor.max(heard_since))
    }

    /// What of a user's account data is new in (after, `up_to`], in the order in which it was set.
    ///
    /// What was set again after `up_to` is not among it: the next answer has it.
    pub async fn account_data_between(
        &self,
        user: UserNid,
        after: Sequence,
        up_to: Sequence,
    ) -> Result<Vec<Entry>, StoreError> {
        let sql = "-- account_data::account_data_between
            SELECT room_nid, kind, position, content FROM account_data WHERE user_nid = $1 AND position > $2 AND position <= $3
            ORDER BY position";
        let rows = self.db().query(sql, &[user.int(), after.int(), up_to.int()]).await?;
        rows.iter().map(read).collect()
    }

    /// All account data of a user in a room.
    pub async fn account_data_of_room(&self, user: UserNid, room: RoomNid) -> Result<Vec<Entry>, StoreError> {
        let sql = "-- account_data::account_data_of_room
            SELECT room_nid, kind, position, content FROM account_data WHERE user_nid = $1 AND room_nid = $2 ORDER BY kind";
        let rows = self.db().query(sql, &[user.int(), room.int()]).await?;
        rows.iter().map(read).collect()
    }

    /// How many kinds of account data a user has in a room, or in none.
    pub async fn account_data_kinds(&self, user: UserNid, room: Option<RoomNid>) -> Result<usize, StoreError> {
        let sql = "-- account_data::account_data_kinds
            SELECT COUNT(*) FROM account_data WHERE user_nid = $1 AND room_nid = $2";
        let row = self
            .db()
            .query_opt(sql, &[user.int(), room.unwrap_or(NO_ROOM).int()])
            .await?;
        let count = row.map(|row| row.int(0)).transpose()?.unwrap_or_default();
        Ok(usize::try_from(count).unwrap_or_default())
    }

    async fn load_account_data(&self, (user, room, kind): &Key) -> Result<Option<Arc<Entry>>, StoreError> {
        let sql = "-- account_data::account_data
            SELECT room_nid, kind, position, content FROM account_data WHERE user_nid = $1 AND room_nid = $2 AND kind = $3";
        let row = self.db().query_opt(sql, &[user.int(), room.int(), text(kind)]).await?;
        Ok(row.as_ref().map(read).transpose()?.map(Arc::new))
    }
}

fn read(row: &DbRow) -> Result<Entry, StoreError> {
    let content = serde_json::from_slice(&row.bytes(3)?);
    Ok(Entry {
        room: Some(RoomNid(row.int(0)?)).filter(|room| *room != NO_ROOM),
        kind: row.text(1)?.to_owned(),
        position: row.int(2)?,
        content: content.map_err(|error| StoreError::corrupt("account_data", error.to_string()))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_users_are_forgotten_first_and_the_floor_covers_them() {
        let data = AccountData::new();
        data.lock().users_max = 10;
        for at in 1..=11 {
            data.change(UserNid(at), None, "m.direct", 100 + at);
        }
        let last = data.lock();
        assert!(last.users.len() <= 10);
        assert_eq!(
            (last.users.get(&UserNid(11)), last.users.get(&UserNid(1))),
            (Some(&111), None)
        );
        assert!(last.floor >= 101);
    }
}
