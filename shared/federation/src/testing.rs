//! This server and doubles of others, for the tests of this crate.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::SeqCst},
};

use plexus_core::event::{PublicKey, SigningKey};
use plexus_storage::Store;
use plexus_testkit::{Authority, Remote, TestDatabase, sqlite_database};
use ruma::{OwnedServerName, ServerName, server_name};
use serde_json::{Value, json};

use crate::{
    Federation, FederationParts,
    flights::tests::spawn_here,
    keys::{Keys, Notary, Wanted},
    outbound::Trust,
};

pub(crate) const DAY_MS: i64 = 24 * 3600 * 1000;
pub(crate) const NOW_MS: i64 = 1_700_000_000_000;
pub(crate) const PUBLISHED: &str = "/_matrix/key/v2/server";
pub(crate) const QUERY: &str = "/_matrix/key/v2/query";

/// This server, and those it knows.
pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) federation: Federation,
    now: Arc<AtomicI64>,
    _database: TestDatabase,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_notaries(|_| Vec::new(), Authority::new()).await
    }

    pub(crate) async fn with_notaries(notaries: impl FnOnce(&Authority) -> Vec<Notary>, authority: Authority) -> Self {
        let (database, folder) = (sqlite_database().await, tempfile::tempdir().expect("a folder"));
        let now = Arc::new(AtomicI64::new(NOW_MS));
        let telling = Arc::clone(&now);
        let parts = FederationParts::alone(
            server_name!("here.example"),
            signing("own", 1),
            Store::new(database.db.clone()),
            Arc::new(move || telling.load(SeqCst)),
            spawn_here(),
        );
        let mut parts = FederationParts {
            notaries: notaries(&authority),
            trust: Trust {
                custom_ca_files: vec![authority.write(folder.path())],
                unverified: Vec::new(),
            },
            ..parts
        };
        parts.addresses.allowed.push("127.0.0.0/8".parse().expect("a range"));
        parts
            .own
            .old
            .insert("ed25519:old".to_owned(), (signing("old", 2).verify_key(), 77));
        Self {
            federation: Federation::new(parts).expect("the authority's file is right"),
            authority,
            now,
            _database: database,
            _folder: folder,
        }
    }

    pub(crate) async fn remote(&self) -> Remote {
        Remote::start(&self.authority, &["127.0.0.1"]).await
    }

    pub(crate) fn keys(&self) -> &Keys {
        self.federation.keys()
    }

    pub(crate) fn later(&self, ms: i64) {
        self.now.fetch_add(ms, SeqCst);
    }

    pub(crate) async fn find(&self, server: &str, key_id: &str, valid_at_ms: i64) -> Option<PublicKey> {
        let server = OwnedServerName::try_from(server).expect("a name");
        let wanted = Wanted {
            server: server.clone(),
            key_id: key_id.to_owned(),
            valid_at_ms,
        };
        let known = self.keys().look_up(vec![wanted]).await.expect("the database answers");
        known.get(&server, key_id)
    }

    pub(crate) async fn for_request(&self, server: &str, key_id: &str) -> bool {
        let server = OwnedServerName::try_from(server).expect("a name");
        let key = self.keys().for_request(&server, key_id).await;
        key.expect("the database answers").is_some()
    }
}

pub(crate) fn signing(version: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(version, &[seed; 32]).expect("a key")
}

/// What a server with one key publishes.
pub(crate) fn document(server: &str, key: &SigningKey, valid_until_ms: i64) -> String {
    document_of(
        server,
        key,
        &json!({
            "server_name": server, "valid_until_ts": valid_until_ms, "old_verify_keys": {},
            "verify_keys": {key.key_id(): {"key": key.verify_key().to_base64()}},
        }),
    )
}

pub(crate) fn document_of(server: &str, key: &SigningKey, document: &Value) -> String {
    let server = <&ServerName>::try_from(server).expect("a name");
    plexus_core::event::sign::sign_json(document.to_string().as_bytes(), server, key).expect("JSON")
}
