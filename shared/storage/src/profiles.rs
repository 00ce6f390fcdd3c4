//! Table `profiles`: the profiles of local users, field by field.

use std::{collections::BTreeMap, sync::Arc};

use plexus_core::ids::UserNid;
use serde_json::value::RawValue;

use crate::{
    Store, StoreError,
    cache::{Changing, bounded},
    db::Statement,
    sql::{Int as _, bytes, one_row, statement, text},
};

/// Bounds the cache.
const CACHE_BYTES: u64 = 8 << 20;

/// Most fields that are read of a profile. A profile has at most 64 kB by specification, so it cannot have more by far.
const FIELDS_MAX: i64 = 4_096;

/// A profile: JSON by field.
pub type Profile = BTreeMap<String, Box<RawValue>>;

/// Sets a field.
pub fn upsert(user: UserNid, field: &str, value: &RawValue) -> Statement {
    one_row(
        "-- profiles::upsert
        INSERT INTO profiles (user_nid, field, value) VALUES ($1, $2, $3)
        ON CONFLICT (user_nid, field) DO UPDATE SET value = excluded.value",
        [user.int(), text(field), bytes(value.get().as_bytes())],
    )
}

/// Removes a field, if it is there.
pub fn delete(user: UserNid, field: &str) -> Statement {
    statement(
        "-- profiles::delete
        DELETE FROM profiles WHERE user_nid = $1 AND field = $2",
        [user.int(), text(field)],
    )
}

/// Removes a whole profile.
pub fn delete_all(user: UserNid) -> Statement {
    statement(
        "-- profiles::delete_all
        DELETE FROM profiles WHERE user_nid = $1",
        [user.int()],
    )
}

/// The profiles that have been read.
pub(crate) type Profiles = Changing<UserNid, Arc<Profile>>;

pub(crate) fn cache() -> Profiles {
    Changing::new(bounded(CACHE_BYTES, 200, |_, profile| {
        profile
            .iter()
            .map(|(field, value)| (field.len() + value.get().len() + 64) as u64)
            .sum()
    }))
}

impl Store {
    /// A local user's profile; empty if he has none.
    pub async fn profile(&self, user: UserNid) -> Result<Arc<Profile>, StoreError> {
        self.caches()
            .profiles
            .get_or_load(&user, || self.load_profile(user))
            .await
    }

    async fn load_profile(&self, user: UserNid) -> Result<Arc<Profile>, StoreError> {
        let sql = "-- profiles::profile
            SELECT field, value FROM profiles WHERE user_nid = $1 ORDER BY field LIMIT $2";
        let mut profile = Profile::new();
        for row in self.db().query(sql, &[user.int(), FIELDS_MAX.int()]).await? {
            let value = serde_json::from_slice(&row.bytes(1)?)
                .map_err(|error| StoreError::corrupt("profiles", error.to_string()))?;
            profile.insert(row.text(0)?.to_owned(), value);
        }
        Ok(Arc::new(profile))
    }
}
