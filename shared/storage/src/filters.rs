//! Table `filters`: sync filters. Free: any process writes them. Immutable once stored.

use bytes::Bytes;
use plexus_core::{event::hash::sha256, ids::UserNid};

use crate::{
    Store, StoreError,
    cache::{Cache, bounded},
    db::Value,
    sql::{Int as _, bytes, statement},
};

/// Bounds the cache.
const CACHE_BYTES: u64 = 4 << 20;

/// The filters that have been read, by user and id.
pub(crate) type Filters = Cache<(UserNid, i64), Bytes>;

pub(crate) fn cache() -> Filters {
    bounded(CACHE_BYTES, 400, |_, body| body.len() as u64 + 48)
}

impl Store {
    /// A filter that the user has stored.
    pub async fn filter(&self, user: UserNid, filter_id: i64) -> Result<Option<Bytes>, StoreError> {
        let cache = &self.caches().filters;
        if let Some(body) = cache.get(&(user, filter_id)) {
            return Ok(Some(body));
        }
        let sql = "-- filters::filter
            SELECT body FROM filters WHERE user_nid = $1 AND filter_id = $2";
        let Some(row) = self.db().query_opt(sql, &[user.int(), filter_id.int()]).await? else {
            return Ok(None);
        };
        let body = row.bytes(0)?;
        cache.insert((user, filter_id), body.clone());
        Ok(Some(body))
    }

    /// Stores a filter, and gives its id. The id follows from the filter, so that a client which stores the same one at each start does not fill the table.
    pub async fn insert_filter(&self, user: UserNid, body: &[u8]) -> Result<i64, StoreError> {
        let hash = sha256(body);
        let filter_id = hash.iter().take(8).fold(0, |id, byte| id << 8 | i64::from(*byte)) & i64::MAX;
        let sql = "-- filters::insert
            INSERT INTO filters (user_nid, filter_id, body) VALUES ($1, $2, $3)
            ON CONFLICT (user_nid, filter_id) DO NOTHING";
        let params: [Value; 3] = [user.int(), filter_id.int(), bytes(body)];
        self.db().execute(statement(sql, params)).await?;
        Ok(filter_id)
    }
}
