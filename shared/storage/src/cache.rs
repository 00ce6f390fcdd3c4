//! The two kinds of cache, both bounded in bytes.
//!
//! What never changes is kept in a [`Cache`], keyed by id. What log rows change is kept in a [`Changing`]: it knows which loads are under way, so that a
//! load that a row overtook is used by those who asked before the row, and by nobody after it.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use quick_cache::{
    DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter,
    sync::{DefaultLifecycle, EntryAction, EntryResult},
};
use tokio::sync::OnceCell;

/// What an entry costs besides its key and value: the cache's own links and hashes, and the allocator's.
const ENTRY_BYTES: u64 = 64;

/// Into how many parts, each with its lock, a cache is cut. Few, because an entry that is larger than its part is never kept.
const SHARDS: usize = 4;

/// Tells what an entry weighs, in bytes, without [`ENTRY_BYTES`].
pub(crate) type Weigh<K, V> = fn(&K, &V) -> u64;

/// A bounded cache.
pub(crate) type Cache<K, V> = quick_cache::sync::Cache<K, V, Weighing<K, V>>;

/// Makes a cache of at most `max_bytes`, most of whose entries weigh about `typical_bytes`.
pub(crate) fn bounded<K: Eq + Hash, V: Clone>(max_bytes: u64, typical_bytes: u64, weigh: Weigh<K, V>) -> Cache<K, V> {
    let items = usize::try_from(max_bytes / (typical_bytes + ENTRY_BYTES)).unwrap_or(usize::MAX);
    let options = OptionsBuilder::new()
        .shards(SHARDS)
        .estimated_items_capacity(items)
        .weight_capacity(max_bytes)
        .build()
        .expect("both capacities are set");
    Cache::with_options(
        options,
        Weighing(weigh),
        DefaultHashBuilder::default(),
        DefaultLifecycle::default(),
    )
}

/// How full a cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheUse {
    /// Which cache.
    pub name: &'static str,
    /// How many entries it has.
    pub entries: usize,
    /// What they weigh.
    pub bytes: u64,
    /// What they may weigh.
    pub max_bytes: u64,
}

/// How full `cache` is.
pub(crate) fn usage<K: Eq + Hash, V: Clone>(name: &'static str, cache: &Cache<K, V>) -> CacheUse {
    CacheUse {
        name,
        entries: cache.len(),
        bytes: cache.weight(),
        max_bytes: cache.capacity(),
    }
}

/// Applies a [`Weigh`].
pub(crate) struct Weighing<K, V>(Weigh<K, V>);

impl<K, V> Clone for Weighing<K, V> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl<K, V> Weighter<K, V> for Weighing<K, V> {
    fn weight(&self, key: &K, value: &V) -> u64 {
        ENTRY_BYTES + (self.0)(key, value)
    }
}

/// A bounded cache of things that log rows change. `V` is cheap to clone: an `Arc`, or a few words.
///
/// A load under way is in `loads` for as long as no row has touched its key. A reader may join such a load, however late he comes: what the load reads
/// includes everything that had been applied when it began, and nothing of that key has been applied since. A row that touches the key takes the load out
/// of the map: those who wait for it still use its result, which is as new as they may ask for, the next reader begins another, and nobody keeps it.
///
/// Who begins a load has to be polled or dropped: the others wait for him. So a read must not be left lying while its task awaits another one.
pub(crate) struct Changing<K, V> {
    kept: Cache<K, V>,
    // Held for a few instructions and never while anything is awaited, hence the standard library's.
    loads: Mutex<HashMap<K, Load<V>>>,
}

struct Load<V> {
    result: Arc<OnceCell<V>>,
    /// How many readers wait for it: the last one to go away without a result takes it out.
    waiting: usize,
}

impl<K: Clone + Eq + Hash, V: Clone> Changing<K, V> {
    pub(crate) fn new(kept: Cache<K, V>) -> Self {
        Self {
            kept,
            loads: Mutex::default(),
        }
    }

    /// What is kept.
    pub(crate) fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<V> {
        self.kept.get(key)
    }

    /// What is kept, or else what `load` finds.
    pub(crate) async fn get_or_load<E, F>(&self, key: &K, load: impl FnOnce() -> F) -> Result<V, E>
    where
        F: Future<Output = Result<V, E>>,
    {
        self.get_if_or_load(key, |_| true, load).await
    }

    /// What is kept if it is `enough` for the caller, or else what `load` finds, which then takes its place.
    pub(crate) async fn get_if_or_load<E, F>(
        &self,
        key: &K,
        enough: impl Fn(&V) -> bool,
        load: impl FnOnce() -> F,
    ) -> Result<V, E>
    where
        F: Future<Output = Result<V, E>>,
    {
        if let Some(value) = self.kept.get(key).filter(&enough) {
            return Ok(value);
        }
        let seat = match self.join(key, enough) {
            Ok(value) => return Ok(value),
            Err(seat) => seat,
        };
        // If the reader who loads goes away, one who waits takes over, with a load of his own.
        let value = seat.result.get_or_try_init(load).await?.clone();
        seat.keep(&value);
        Ok(value)
    }

    /// A row changed what is behind `key`: changes what is kept, and marks the load under way.
    pub(crate) fn change(&self, key: &K, change: impl FnOnce(&mut V)) {
        let mut loads = self.loads();
        loads.remove(key);
        if self.kept.contains_key(key) {
            self.change_kept(key, change);
        }
    }

    /// Like [`change`](Self::change), where a row is enough to make a value if none is kept.
    pub(crate) fn change_or_make(&self, key: &K, change: impl FnOnce(&mut V), make: impl FnOnce() -> V) {
        let mut loads = self.loads();
        loads.remove(key);
        if self.kept.contains_key(key) {
            self.change_kept(key, change);
        } else {
            self.kept.insert(key.clone(), make());
        }
    }

    /// A row changed what is behind `key`, and the new value is not in the row.
    pub(crate) fn forget(&self, key: &K) {
        let mut loads = self.loads();
        loads.remove(key);
        self.kept.remove(key);
    }

    /// Anything may have changed.
    pub(crate) fn forget_all(&self) {
        let mut loads = self.loads();
        loads.clear();
        self.kept.clear();
    }

    /// How full it is.
    pub(crate) fn usage(&self, name: &'static str) -> CacheUse {
        usage(name, &self.kept)
    }

    /// Changes the value in its place, so that an `Arc` nobody else holds is not copied.
    fn change_kept(&self, key: &K, change: impl FnOnce(&mut V)) {
        let changed = self.kept.entry(key, Some(Duration::ZERO), |_, value| {
            change(value);
            EntryAction::Retain(value.clone())
        });
        // It may have grown: only putting it in again makes the cache hold its bound. Or it was evicted just now.
        if let EntryResult::Retained(value) = changed {
            drop(self.kept.replace(key.clone(), value, true));
        }
    }

    fn join<'a>(&'a self, key: &'a K, enough: impl Fn(&V) -> bool) -> Result<V, Seat<'a, K, V>> {
        let mut loads = self.loads();
        // Again, now that no load can end in between.
        if let Some(value) = self.kept.get(key).filter(&enough) {
            return Ok(value);
        }
        let load = loads.entry(key.clone()).or_insert_with(|| Load {
            result: Arc::default(),
            waiting: 0,
        });
        load.waiting += 1;
        Err(Seat {
            cache: self,
            key,
            result: Arc::clone(&load.result),
        })
    }

    fn loads(&self) -> MutexGuard<'_, HashMap<K, Load<V>>> {
        self.loads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> fmt::Debug for Changing<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changing").finish_non_exhaustive()
    }
}

/// A reader's place at a load under way.
struct Seat<'a, K: Clone + Eq + Hash, V: Clone> {
    cache: &'a Changing<K, V>,
    key: &'a K,
    result: Arc<OnceCell<V>>,
}

impl<K: Clone + Eq + Hash, V: Clone> Seat<'_, K, V> {
    /// Keeps the result, unless a row has overtaken the load.
    fn keep(&self, value: &V) {
        let mut loads = self.cache.loads();
        if let Entry::Occupied(load) = loads.entry(self.key.clone())
            && Arc::ptr_eq(&load.get().result, &self.result)
        {
            load.remove();
            self.cache.kept.insert(self.key.clone(), value.clone());
        }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Drop for Seat<'_, K, V> {
    fn drop(&mut self) {
        let mut loads = self.cache.loads();
        if let Entry::Occupied(mut load) = loads.entry(self.key.clone())
            && Arc::ptr_eq(&load.get().result, &self.result)
        {
            load.get_mut().waiting -= 1;
            if load.get().waiting == 0 {
                load.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests;
