//! Table `users`: interned user ids, local and remote. A pair never changes.

use plexus_core::ids::UserNid;
use ruma::{OwnedServerName, OwnedUserId, UserId};

use crate::{
    Store, StoreError,
    cache::{Cache, CacheUse, bounded, usage},
    db::{DbRow, Statement, Value},
    sql::{Int as _, statement, text},
};

/// Bounds each direction of the cache.
const CACHE_BYTES: u64 = 8 << 20;

/// Most users one query asks for.
const USERS_PER_QUERY_MAX: usize = 1_000;

/// Interns a user, unless that is done: every change set that uses a new number brings it.
pub fn insert(user: UserNid, user_id: &UserId) -> Statement {
    statement(
        "-- users::insert
        INSERT INTO users (user_nid, user_id) VALUES ($1, $2) ON CONFLICT (user_nid) DO NOTHING",
        [user.int(), text(user_id.as_str())],
    )
}

/// What has been read of the table.
#[derive(Debug)]
pub(crate) struct Users {
    nids: Cache<OwnedUserId, UserNid>,
    ids: Cache<UserNid, OwnedUserId>,
}

impl Users {
    pub(crate) fn new() -> Self {
        Self {
            nids: bounded(CACHE_BYTES, 40, |id, _| id.as_str().len() as u64 + 24),
            ids: bounded(CACHE_BYTES, 40, |_, id| id.as_str().len() as u64 + 24),
        }
    }

    pub(crate) fn usage(&self) -> [CacheUse; 2] {
        [usage("user_nids", &self.nids), usage("user_ids", &self.ids)]
    }

    /// The server of a user whose id has been read before.
    pub(crate) fn kept_server(&self, user: UserNid) -> Option<OwnedServerName> {
        self.ids.get(&user).map(|user_id| user_id.server_name().to_owned())
    }

    fn keep(&self, user: UserNid, user_id: &UserId) {
        self.nids.insert(user_id.to_owned(), user);
        self.ids.insert(user, user_id.to_owned());
    }
}

impl Store {
    /// The number that stands for a user; none if nobody here ever met him.
    pub async fn user_nid(&self, user_id: &UserId) -> Result<Option<UserNid>, StoreError> {
        if let Some(user) = self.caches().users.nids.get(user_id) {
            return Ok(Some(user));
        }
        let sql = "-- users::user_nid
            SELECT user_nid FROM users WHERE user_id = $1";
        let Some(row) = self.db().query_opt(sql, &[text(user_id.as_str())]).await? else {
            return Ok(None);
        };
        let user = UserNid(row.int(0)?);
        self.caches().users.keep(user, user_id);
        Ok(Some(user))
    }

    /// The id of a user.
    pub async fn user_id(&self, user: UserNid) -> Result<Option<OwnedUserId>, StoreError> {
        if let Some(user_id) = self.caches().users.ids.get(&user) {
            return Ok(Some(user_id));
        }
        Ok(self.user_ids(&[user]).await?.pop().flatten())
    }

    /// The ids of users, in the order asked for.
    pub async fn user_ids(&self, users: &[UserNid]) -> Result<Vec<Option<OwnedUserId>>, StoreError> {
        let cache = &self.caches().users;
        let mut found: Vec<_> = users.iter().map(|user| cache.ids.get(user)).collect();
        let missing: Vec<usize> = (0..users.len()).filter(|at| found[*at].is_none()).collect();
        for chunk in missing.chunks(USERS_PER_QUERY_MAX) {
            let sql = "-- users::user_ids
                SELECT user_nid, user_id FROM users WHERE user_nid = ANY($1)";
            let nids = chunk.iter().map(|at| users[*at].0).collect();
            for row in self.db().query(sql, &[Value::Ints(nids)]).await? {
                let (user, user_id) = read(&row)?;
                cache.keep(user, &user_id);
                for at in chunk.iter().filter(|at| users[**at] == user) {
                    found[*at] = Some(user_id.clone());
                }
            }
        }
        Ok(found)
    }
}

fn read(row: &DbRow) -> Result<(UserNid, OwnedUserId), StoreError> {
    let user_id = UserId::parse(row.text(1)?).map_err(|error| StoreError::corrupt("users", error.to_string()))?;
    Ok((UserNid(row.int(0)?), user_id))
}
