//! Being a notary: passing on what other servers publish, signed by them and by us.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};
use plexus_storage::{StoreError, server_keys::ServerKey};
use ruma::{OwnedServerName, ServerName};

use super::{Keys, fetch::Sources};

/// Most servers of one query.
pub const SERVERS_PER_QUERY_MAX: usize = 100;
/// Most of them that are asked at once.
const SERVERS_AT_ONCE: usize = 20;

/// The keys somebody wants to know of, by server and by id, each with the time until which it should be valid. No ids: all there are.
pub type DocumentsWanted = BTreeMap<OwnedServerName, BTreeMap<String, i64>>;

impl Keys {
    /// Documents of servers, each signed by its server and by this one. Servers that cannot be reached are there with what is known of them, or not at all.
    pub async fn documents(&self, wanted: DocumentsWanted) -> Result<Vec<String>, StoreError> {
        let of_servers = wanted
            .into_iter()
            .take(SERVERS_PER_QUERY_MAX)
            .map(|(server, key_ids)| async move { self.documents_of(&server, key_ids).await });
        let mut found = stream::iter(of_servers).buffered(SERVERS_AT_ONCE);
        let mut documents = Vec::new();
        while let Some(of_server) = found.next().await {
            documents.extend(of_server?);
        }
        Ok(documents)
    }

    async fn documents_of(
        &self,
        server: &ServerName,
        wanted: BTreeMap<String, i64>,
    ) -> Result<Vec<String>, StoreError> {
        if server == self.0.own.server {
            return Ok(self
                .published()
                .ok()
                .map(|document| document.to_string())
                .into_iter()
                .collect());
        }
        let mut known = self.0.store.server_keys(server).await?;
        if needs_fetch(&known, &wanted, (self.0.now)()) && self.fetch(server, &wanted, Sources::Origin).await {
            known = self.0.store.server_keys(server).await?;
        }
        // Of all that is known, what is asked for: also keys that the server does not publish any more.
        let asked = |key: &&ServerKey| wanted.is_empty() || wanted.contains_key(&key.key_id);
        let documents: BTreeSet<&[u8]> = known.iter().filter(asked).map(|key| &key.document[..]).collect();
        let signed = documents
            .into_iter()
            .filter_map(|document| self.0.own.sign(document).ok());
        Ok(signed.collect())
    }
}

/// Whether the server itself should be asked: a key is missing, or not good for long enough, or past half of its time.
fn needs_fetch(known: &[ServerKey], wanted: &BTreeMap<String, i64>, now_ms: i64) -> bool {
    let is_good = |key: &ServerKey, until_ms: i64| {
        let half_ms = key.fetched_ms + (key.valid_until_ms - key.fetched_ms) / 2;
        key.expired_ms.is_some() || (key.valid_until_ms >= until_ms && now_ms < half_ms)
    };
    if wanted.is_empty() {
        let mut current = known.iter().filter(|key| key.expired_ms.is_none());
        return !current.any(|key| is_good(key, now_ms));
    }
    !wanted.iter().all(|(key_id, until_ms)| {
        let key = known.iter().find(|key| key.key_id == *key_id);
        key.is_some_and(|key| is_good(key, *until_ms))
    })
}
