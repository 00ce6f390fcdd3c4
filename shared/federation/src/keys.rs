//! The keys of other servers: from memory, from the database, or fetched from the server itself and from notaries at once.
//!
//! A key is believed because a document says so that its server has signed, whoever passes it on. For requests it has to be valid now, for events of
//! newer room versions at the time the event says. See <https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys>.

pub mod document;
mod fetch;
mod notary;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{StreamExt as _, stream};
use plexus_core::event::{JsonError, ParsedEvent, PublicKey, VerifyKey};
use plexus_storage::{Store, StoreError, server_keys::ServerKey};
use quick_cache::sync::Cache;
use ruma::{OwnedServerName, ServerName};
use tokio::sync::Semaphore;

use self::{
    document::OwnKeys,
    fetch::{Pause, Sources},
};
pub use self::{
    fetch::Notary,
    notary::{DocumentsWanted, SERVERS_PER_QUERY_MAX},
};
use crate::{Now, Spawn, flights::Flights, transport::Transport};

/// Most keys that are kept in memory.
const KNOWN_MAX: usize = 50_000;
/// Most servers whose pauses are remembered.
const PAUSES_MAX: usize = 50_000;
/// Most servers whose keys are fetched at once, in this process.
const FETCHES_MAX: usize = 64;
/// Most servers that one look-up asks at once.
const SERVERS_AT_ONCE: usize = 32;

/// A key that somebody needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whose.
    pub server: OwnedServerName,
    /// `ed25519:` and its version.
    pub key_id: String,
    /// When it has to be valid; 0 if that does not matter.
    pub valid_at_ms: i64,
}

/// The keys that were found.
#[derive(Clone, Debug, Default)]
pub struct Known(HashMap<OwnedServerName, BTreeMap<String, PublicKey>>);

impl Known {
    /// A key of a server. Whether it was valid when it had to be is for the caller to see.
    pub fn get(&self, server: &ServerName, key_id: &str) -> Option<PublicKey> {
        self.0.get(server)?.get(key_id).copied()
    }
}

/// What keys are looked up with.
pub(crate) struct KeysParts {
    pub(crate) own: OwnKeys,
    /// How long what is published counts.
    pub(crate) validity_ms: i64,
    pub(crate) notaries: Vec<Notary>,
    pub(crate) store: Store,
    pub(crate) transport: Transport,
    pub(crate) now: Now,
    pub(crate) spawn: Spawn,
}

/// The keys of this server and of others. Cheap to clone.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    own: OwnKeys,
    validity_ms: i64,
    notaries: Vec<Notary>,
    store: Store,
    transport: Transport,
    now: Now,
    /// This server's document, and when it was made.
    published: Mutex<Option<(i64, Arc<str>)>>,
    known: Cache<(OwnedServerName, String), PublicKey>,
    pauses: Cache<(OwnedServerName, Sources), Pause>,
    fetching: Arc<Flights<(OwnedServerName, Sources), ()>>,
    permits: Semaphore,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("own", &self.0.own).finish_non_exhaustive()
    }
}

impl Keys {
    pub(crate) fn new(parts: KeysParts) -> Self {
        let KeysParts {
            own,
            validity_ms,
            notaries,
            store,
            transport,
            now,
            spawn,
        } = parts;
        Self(Arc::new(Inner {
            own,
            validity_ms,
            notaries,
            store,
            transport,
            now,
            published: Mutex::new(None),
            known: Cache::new(KNOWN_MAX),
            pauses: Cache::new(PAUSES_MAX),
            fetching: Flights::new(spawn),
            permits: Semaphore::new(FETCHES_MAX),
        }))
    }

    /// This server's own keys.
    pub fn own(&self) -> &OwnKeys {
        &self.0.own
    }

    /// What this server publishes: signed, and good for at least half of what it says when it is made.
    pub fn published(&self) -> Result<Arc<str>, JsonError> {
        let now = (self.0.now)();
        let mut published = self.0.published.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_ms, document)) = &*published
            && (*made_ms..*made_ms + self.0.validity_ms / 2).contains(&now)
        {
            return Ok(Arc::clone(document));
        }
        let document: Arc<str> = self.0.own.document(now + self.0.validity_ms)?.into();
        *published = Some((now, Arc::clone(&document)));
        Ok(document)
    }

    /// The key that a request of now may be signed with.
    pub async fn for_request(&self, server: &ServerName, key_id: &str) -> Result<Option<VerifyKey>, StoreError> {
        let now = (self.0.now)();
        let wanted = Wanted {
            server: server.to_owned(),
            key_id: key_id.to_owned(),
            valid_at_ms: now,
        };
        let known = self.look_up(vec![wanted]).await?;
        let key = known.get(server, key_id);
        let is_valid = |key: &PublicKey| key.expired_ts.is_none() && i64_of(key.valid_until_ts) >= now;
        Ok(key.filter(is_valid).map(|key| key.key))
    }

    /// The keys that events are to be verified with: for [`ParsedEvent::verify`].
    pub async fn for_events<'a>(&self, events: impl IntoIterator<Item = &'a ParsedEvent>) -> Result<Known, StoreError> {
        let of_event = |event: &'a ParsedEvent| {
            let valid_at_ms = i64_of(event.keys_valid_at());
            event.key_ids().into_iter().map(move |(server, key_id)| Wanted {
                server,
                key_id,
                valid_at_ms,
            })
        };
        self.look_up(events.into_iter().flat_map(of_event).collect()).await
    }

    /// Finds keys, fetching what is missing or not valid as long as it has to be. What cannot be found is not there.
    pub async fn look_up(&self, wanted: Vec<Wanted>) -> Result<Known, StoreError> {
        let mut by_server: HashMap<OwnedServerName, BTreeMap<String, i64>> = HashMap::new();
        for Wanted {
            server,
            key_id,
            valid_at_ms,
        } in wanted
        {
            let at = by_server.entry(server).or_default().entry(key_id).or_insert(0);
            *at = (*at).max(valid_at_ms);
        }
        let look_ups = by_server.into_iter().map(|(server, key_ids)| async move {
            let found = self.of_server(&server, &key_ids).await?;
            Ok::<_, StoreError>((server, found))
        });
        let mut found = stream::iter(look_ups).buffer_unordered(SERVERS_AT_ONCE);
        let mut known = Known::default();
        while let Some(of_server) = found.next().await {
            let (server, keys) = of_server?;
            known.0.insert(server, keys);
        }
        Ok(known)
    }

    /// Keys of one server, by their ids and when they have to be valid.
    async fn of_server(
        &self,
        server: &ServerName,
        wanted: &BTreeMap<String, i64>,
    ) -> Result<BTreeMap<String, PublicKey>, StoreError> {
        if server == self.0.own.server {
            return Ok(self.0.own_keys());
        }
        let found = self.0.stored(server, wanted).await?;
        if satisfies(&found, wanted) || !self.fetch(server, wanted, Sources::All).await {
            return Ok(found);
        }
        self.0.stored(server, wanted).await
    }
}

impl Inner {
    fn own_keys(&self) -> BTreeMap<String, PublicKey> {
        let current = PublicKey {
            key: self.own.signing.verify_key(),
            valid_until_ts: u64::MAX,
            expired_ts: None,
        };
        let old = self.own.old.iter().map(|(key_id, (key, expired_ms))| {
            let expired_ts = u64_of(*expired_ms);
            let key = PublicKey {
                key: *key,
                valid_until_ts: expired_ts,
                expired_ts: Some(expired_ts),
            };
            (key_id.clone(), key)
        });
        old.chain([(self.own.signing.key_id().to_owned(), current)]).collect()
    }

    /// What is known of keys, valid or not.
    async fn stored(
        &self,
        server: &ServerName,
        wanted: &BTreeMap<String, i64>,
    ) -> Result<BTreeMap<String, PublicKey>, StoreError> {
        let mut found = BTreeMap::new();
        for key_id in wanted.keys() {
            let cache_key = (server.to_owned(), key_id.clone());
            let mut known = self.known.get(&cache_key);
            if known.is_none() {
                let stored = self.store.server_key(server, key_id).await?;
                known = stored.as_ref().and_then(public_key);
                if let Some(known) = known {
                    self.known.insert(cache_key, known);
                }
            }
            found.extend(known.map(|known| (key_id.clone(), known)));
        }
        Ok(found)
    }
}

/// Whether nothing better can be had: a key that its server has retired stays retired.
fn satisfies(found: &BTreeMap<String, PublicKey>, wanted: &BTreeMap<String, i64>) -> bool {
    wanted.iter().all(|(key_id, valid_at_ms)| {
        let key = found.get(key_id);
        key.is_some_and(|key| key.expired_ts.is_some() || i64_of(key.valid_until_ts) >= *valid_at_ms)
    })
}

fn public_key(stored: &ServerKey) -> Option<PublicKey> {
    Some(PublicKey {
        key: VerifyKey::from_base64(&stored.verify_key).ok()?,
        valid_until_ts: u64_of(stored.valid_until_ms),
        expired_ts: stored.expired_ms.map(u64_of),
    })
}

/// Times before 1970 count as 1970.
fn u64_of(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

fn i64_of(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
