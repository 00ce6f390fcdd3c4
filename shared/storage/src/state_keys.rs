//! Table `state_keys`: interned pairs of event type and state key. A pair never changes once it is there.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use plexus_core::ids::StateKeyNid;
use quick_cache::Equivalent;

use crate::{
    Store, StoreError,
    cache::{Cache, CacheUse, Changing, bounded, usage},
    db::{Statement, Value},
    sql::{Int as _, statement, text},
};

/// Bounds each direction of the cache.
const CACHE_BYTES: u64 = 8 << 20;

/// Most state keys one query asks for.
const STATE_KEYS_PER_QUERY_MAX: usize = 1_000;

/// An event type and a state key.
pub type StateKey = (String, String);

/// Interns a pair, unless that is done: every change set that uses a new number brings it.
pub fn insert(nid: StateKeyNid, kind: &str, state_key: &str) -> Statement {
    statement(
        "-- state_keys::insert
        INSERT INTO state_keys (state_key_nid, kind, state_key) VALUES ($1, $2, $3) ON CONFLICT (state_key_nid) DO NOTHING",
        [nid.int(), text(kind), text(state_key)],
    )
}

/// What has been read of the table. That a pair is not there is kept as well, until a row tells of a state event that may have it.
#[derive(Debug)]
pub(crate) struct StateKeys {
    nids: Cache<Pair, StateKeyNid>,
    /// Pairs that were looked up in vain.
    absent: Changing<Pair, Option<StateKeyNid>>,
    pairs: Cache<StateKeyNid, Arc<StateKey>>,
}

impl StateKeys {
    pub(crate) fn new() -> Self {
        Self {
            nids: bounded(CACHE_BYTES, 120, |pair: &Pair, _| pair.weight()),
            absent: Changing::new(bounded(CACHE_BYTES, 120, |pair: &Pair, _| pair.weight())),
            pairs: bounded(CACHE_BYTES, 120, |_, pair| (pair.0.len() + pair.1.len()) as u64 + 64),
        }
    }

    /// A state event with this pair was persisted.
    pub(crate) fn keep(&self, nid: StateKeyNid, kind: &str, state_key: &str) {
        if self.nids.get(&Borrowed(kind, state_key)) == Some(nid) {
            return;
        }
        let pair = Pair(kind.into(), state_key.into());
        self.absent.forget(&pair);
        self.nids.insert(pair, nid);
        self.pairs
            .insert(nid, Arc::new((kind.to_owned(), state_key.to_owned())));
    }

    /// Anything may have changed, or a state event was persisted and its pair is not in the row.
    ///
    /// Which of the pairs that were looked up in vain it has is not known, so all of them are looked up again.
    pub(crate) fn forget_absent(&self) {
        self.absent.forget_all();
    }

    pub(crate) fn usage(&self) -> [CacheUse; 3] {
        [
            usage("state_key_nids", &self.nids),
            self.absent.usage("absent_state_keys"),
            usage("state_keys", &self.pairs),
        ]
    }
}

/// A pair as a key that can be looked up without owning it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair(Box<str>, Box<str>);

impl Pair {
    fn weight(&self) -> u64 {
        (self.0.len() + self.1.len()) as u64 + 64
    }
}

struct Borrowed<'a>(&'a str, &'a str);

impl Hash for Pair {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Borrowed(&self.0, &self.1).hash(state);
    }
}

impl Hash for Borrowed<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
        self.1.hash(state);
    }
}

impl Equivalent<Pair> for Borrowed<'_> {
    fn equivalent(&self, pair: &Pair) -> bool {
        *self.0 == *pair.0 && *self.1 == *pair.1
    }
}

impl Store {
    /// The number that stands for a pair of event type and state key; none if there has been no such state event.
    pub async fn state_key_nid(&self, kind: &str, state_key: &str) -> Result<Option<StateKeyNid>, StoreError> {
        let cache = &self.caches().state_keys;
        let borrowed = Borrowed(kind, state_key);
        if let Some(nid) = cache.nids.get(&borrowed) {
            return Ok(Some(nid));
        }
        if let Some(found) = cache.absent.get(&borrowed) {
            return Ok(found);
        }
        let pair = Pair(kind.into(), state_key.into());
        let load = || self.load_state_key_nid(kind, state_key);
        let found = cache.absent.get_or_load(&pair, load).await?;
        if let Some(nid) = found {
            cache.absent.forget(&pair);
            cache.nids.insert(pair, nid);
        }
        Ok(found)
    }

    async fn load_state_key_nid(&self, kind: &str, state_key: &str) -> Result<Option<StateKeyNid>, StoreError> {
        let sql = "-- state_keys::state_key_nid
            SELECT state_key_nid FROM state_keys WHERE kind = $1 AND state_key = $2";
        let row = self.db().query_opt(sql, &[text(kind), text(state_key)]).await?;
        Ok(row.map(|row| row.int(0)).transpose()?.map(StateKeyNid))
    }

    /// The event type and state key behind a number.
    pub async fn state_key(&self, nid: StateKeyNid) -> Result<Option<Arc<StateKey>>, StoreError> {
        if let Some(pair) = self.caches().state_keys.pairs.get(&nid) {
            return Ok(Some(pair));
        }
        Ok(self.state_keys(&[nid]).await?.pop().flatten())
    }

    /// The event types and state keys behind numbers, in the order asked for.
    pub async fn state_keys(&self, nids: &[StateKeyNid]) -> Result<Vec<Option<Arc<StateKey>>>, StoreError> {
        let cache = &self.caches().state_keys.pairs;
        let mut found: Vec<_> = nids.iter().map(|nid| cache.get(nid)).collect();
        let missing: Vec<usize> = (0..nids.len()).filter(|at| found[*at].is_none()).collect();
        for chunk in missing.chunks(STATE_KEYS_PER_QUERY_MAX) {
            let sql = "-- state_keys::state_keys
                SELECT state_key_nid, kind, state_key FROM state_keys WHERE state_key_nid = ANY($1)";
            let asked = chunk.iter().map(|at| nids[*at].0).collect();
            for row in self.db().query(sql, &[Value::Ints(asked)]).await? {
                let nid = StateKeyNid(row.int(0)?);
                let pair = Arc::new((row.text(1)?.to_owned(), row.text(2)?.to_owned()));
                cache.insert(nid, Arc::clone(&pair));
                for at in chunk.iter().filter(|at| nids[**at] == nid) {
                    found[*at] = Some(Arc::clone(&pair));
                }
            }
        }
        Ok(found)
    }
}
