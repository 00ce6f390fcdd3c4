//! Fetching documents of keys: from the server itself and from notaries at once, whoever is first.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use http::{Method, StatusCode};
use metrics::counter;
use plexus_core::event::{VerifyKey, sign::verify_json};
use plexus_storage::{
    StoreError,
    server_keys::{KeySource, ServerKey},
};
use ruma::{OwnedServerName, ServerName};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tokio::time::timeout;

use super::{
    Inner, Keys,
    document::{self, KeyDocument},
    satisfies,
};
use crate::{
    metrics::KEY_FETCHES_TOTAL,
    outbound::{Limits, ToServer},
};

/// How long one fetch may take in all.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of a notary's answer.
const NOTARY_BYTES_MAX: usize = 1024 * 1024;
/// Most documents of a notary's answer that are read.
const NOTARY_DOCUMENTS_MAX: usize = 50;
/// How long a key counts at most without being fetched again, as the specification says.
pub(super) const VALIDITY_MAX_MS: i64 = 7 * 24 * 3600 * 1000;
/// How long a server is not asked again after it has answered: it may have no such key.
const PAUSE_MS: i64 = 10_000;
/// How long after it has not; each further failure doubles it.
const FAILURE_PAUSE_MS: i64 = 30_000;
/// The longest pause.
const PAUSE_MAX_MS: i64 = 3600 * 1000;

/// A server that is asked for others' keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notary {
    /// Its name.
    pub server: OwnedServerName,
    /// What its answers have to be signed with; none: its certificate is enough.
    pub keys: BTreeMap<String, VerifyKey>,
}

/// Why a server is not asked for its keys now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    until_ms: i64,
    failures: u32,
}

/// Where documents may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sources {
    /// The server and every notary.
    All,
    /// The server itself: notaries that ask each other would go in circles.
    Origin,
}

type Fetched = (KeySource, Result<Vec<KeyDocument>, String>);

impl Keys {
    /// Fetches the keys of a server, once for all who want them now. False if the server has been asked too recently.
    pub(super) async fn fetch(&self, server: &ServerName, wanted: &BTreeMap<String, i64>, sources: Sources) -> bool {
        let about = (server.to_owned(), sources);
        let pause = self.0.pauses.get(&about);
        if pause.is_some_and(|pause| pause.until_ms > (self.0.now)()) {
            return false;
        }
        let (keys, wanted) = (self.clone(), wanted.clone());
        let landed = self.0.fetching.join(about.clone(), move || async move {
            let inner = &keys.0;
            let found = timeout(FETCH_TIMEOUT, inner.fetch(&about.0, &wanted, sources)).await;
            inner.note(about, found.unwrap_or(false));
        });
        landed.await.is_some()
    }
}

impl Inner {
    /// Asks everybody until what is wanted is there. Whether anything was heard.
    async fn fetch(&self, server: &ServerName, wanted: &BTreeMap<String, i64>, sources: Sources) -> bool {
        let Ok(_permit) = self.permits.acquire().await else {
            return false;
        };
        let mut asked: FuturesUnordered<BoxFuture<'_, Fetched>> = FuturesUnordered::new();
        asked.push(self.ask_origin(server).boxed());
        if sources == Sources::All {
            let others = self
                .notaries
                .iter()
                .filter(|notary| notary.server != server && notary.server != self.own.server);
            asked.extend(others.map(|notary| self.ask_notary(notary, server, wanted).boxed()));
        }
        let mut heard = false;
        while let Some((source, answer)) = asked.next().await {
            let documents = match answer {
                Ok(documents) => documents,
                Err(error) => {
                    tracing::debug!(server.name = %server, ?source, error, "no keys");
                    continue;
                }
            };
            if let Err(error) = self.keep(&documents, source).await {
                tracing::warn!(%error, "keys of servers cannot be stored");
                continue;
            }
            heard |= !documents.is_empty();
            let found = self.stored(server, wanted).await;
            if heard && found.is_ok_and(|found| satisfies(&found, wanted)) {
                break;
            }
        }
        heard
    }

    /// What a server publishes.
    async fn ask_origin(&self, server: &ServerName) -> Fetched {
        let request = ToServer {
            method: Method::GET,
            target: "/_matrix/key/v2/server",
            authorization: None,
            content: None,
        };
        let limits = Limits {
            timeout: FETCH_TIMEOUT,
            answer_bytes_max: document::BYTES_MAX,
        };
        let answer = self.transport.exchange(server, &request, limits).await;
        let document = answer.map_err(|error| error.to_string()).and_then(|answer| {
            if answer.status != StatusCode::OK {
                return Err(format!("status {}", answer.status));
            }
            KeyDocument::parse(&answer.body, server).map_err(|error| error.to_string())
        });
        (KeySource::Origin, document.map(|document| vec![document]))
    }

    /// What a notary says that a server publishes.
    async fn ask_notary(&self, notary: &Notary, server: &ServerName, wanted: &BTreeMap<String, i64>) -> Fetched {
        let criteria: BTreeMap<&String, serde_json::Value> = wanted
            .iter()
            .map(|(key_id, valid_at_ms)| (key_id, json!({"minimum_valid_until_ts": valid_at_ms})))
            .collect();
        let query = json!({"server_keys": {server.as_str(): criteria}});
        let request = ToServer {
            method: Method::POST,
            target: "/_matrix/key/v2/query",
            authorization: None,
            content: Some(Bytes::from(query.to_string())),
        };
        let limits = Limits {
            timeout: FETCH_TIMEOUT,
            answer_bytes_max: NOTARY_BYTES_MAX,
        };
        let answer = self.transport.exchange(&notary.server, &request, limits).await;
        let documents = answer.map_err(|error| error.to_string()).and_then(|answer| {
            if answer.status != StatusCode::OK {
                return Err(format!("{} answers {}", notary.server, answer.status));
            }
            read_notary(notary, server, &answer.body)
        });
        (KeySource::Notary, documents)
    }

    /// Keeps what documents say.
    async fn keep(&self, documents: &[KeyDocument], source: KeySource) -> Result<(), StoreError> {
        let now = (self.now)();
        for document in documents {
            let keys = rows(document, now);
            self.store.upsert_server_keys(&keys, source, now).await?;
            for key in keys {
                // What counts now is in the database.
                self.known.remove(&(key.server, key.key_id));
            }
        }
        Ok(())
    }

    /// Notes when the server may be asked again.
    fn note(&self, about: (OwnedServerName, Sources), heard: bool) {
        let outcome = if heard { "yes" } else { "no" };
        counter!(KEY_FETCHES_TOTAL, "heard" => outcome).increment(1);
        let now = (self.now)();
        let before = self.pauses.get(&about).map_or(0, |pause| pause.failures);
        let pause = if heard {
            Pause {
                until_ms: now + PAUSE_MS,
                failures: 0,
            }
        } else {
            let doubled = FAILURE_PAUSE_MS << before.min(16);
            Pause {
                until_ms: now + doubled.min(PAUSE_MAX_MS),
                failures: before.saturating_add(1),
            }
        };
        self.pauses.insert(about, pause);
    }
}

/// The documents of one server in a notary's answer. One that is not what it should be does not spoil the others.
fn read_notary(notary: &Notary, server: &ServerName, body: &[u8]) -> Result<Vec<KeyDocument>, String> {
    #[derive(Deserialize)]
    struct Body {
        server_keys: Vec<Box<RawValue>>,
    }
    let Body { server_keys } = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut seen = HashSet::new();
    let documents = server_keys.iter().take(NOTARY_DOCUMENTS_MAX).filter_map(|raw| {
        let raw = raw.get().as_bytes();
        let trusted = notary.keys.is_empty()
            || verify_json(raw, &notary.server, |key_id| notary.keys.get(key_id).copied()).is_ok();
        let document = trusted.then(|| KeyDocument::parse(raw, server).ok()).flatten();
        if document.is_none() {
            tracing::debug!(peer = %notary.server, "a notary's document is not believed");
        }
        document.filter(|document| seen.insert(document.json.clone()))
    });
    Ok(documents.collect())
}

/// What is kept of a document.
fn rows(document: &KeyDocument, now_ms: i64) -> Vec<ServerKey> {
    let row = |key_id: &String, key: &VerifyKey, expired_ms: Option<i64>| ServerKey {
        server: document.server.clone(),
        key_id: key_id.clone(),
        verify_key: key.to_base64(),
        valid_until_ms: document.valid_until_ms.min(now_ms.saturating_add(VALIDITY_MAX_MS)),
        expired_ms,
        fetched_ms: now_ms,
        document: Bytes::copy_from_slice(document.json.as_bytes()),
    };
    let current = document.keys.iter().map(|(key_id, key)| row(key_id, key, None));
    let old = document.old_keys.iter();
    current
        .chain(old.map(|(key_id, (key, expired_ms))| row(key_id, key, Some(*expired_ms))))
        .collect()
}
