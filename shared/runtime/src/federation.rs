//! This server among others, as the configuration has it.

use std::{collections::BTreeMap, sync::Arc};

use plexus_core::event::{SigningKey, VerifyKey};
use plexus_federation::{
    Federation, FederationParts, Now, Spawn,
    check::{Expected, Finding, check},
    keys::document::OwnKeys,
    transport::Transport,
};
use plexus_replication::{Clock, Tasks};
use plexus_storage::Store;
use ruma::ServerName;
use tokio::runtime::Handle;

use crate::{config::Config, error::RunError, keys};

/// Reads the certificates and keys there are; nothing is connected to yet.
pub(crate) async fn federation(
    config: &Config,
    signing: Arc<SigningKey>,
    store: Store,
    tasks: &Tasks,
) -> Result<Federation, RunError> {
    let tasks = tasks.clone();
    let spawn: Spawn = Arc::new(move |task| tasks.spawn(task));
    let parts = parts(config, signing, store, spawn).await?;
    Federation::new(parts).map_err(RunError::Federation)
}

async fn parts(
    config: &Config,
    signing: Arc<SigningKey>,
    store: Store,
    spawn: Spawn,
) -> Result<FederationParts, RunError> {
    let clock = Clock::system();
    let now: Now = Arc::new(move || clock.now_ms());
    if !config.federation.perspectives.is_empty() {
        tracing::warn!("federation.perspectives is called federation.trusted_key_servers now");
    }
    Ok(FederationParts {
        own: OwnKeys {
            server: config.server_name.clone(),
            old: old_keys(config, &store, signing.key_id()).await?,
            signing,
        },
        key_validity_ms: config.federation.key_validity_s.saturating_mul(1000),
        addresses: config.outbound_rules()?.addresses,
        trust: config.federation.trust(),
        notaries: config.federation.notaries()?,
        store,
        now,
        spawn,
    })
}

/// The keys this server signed with: those it has noted itself, and those of the configuration.
async fn old_keys(
    config: &Config,
    store: &Store,
    current: &str,
) -> Result<BTreeMap<String, (VerifyKey, i64)>, RunError> {
    let mut old = config.federation.old_keys()?;
    for noted in store.old_signing_keys().await? {
        if let Ok(key) = VerifyKey::from_base64(&noted.verify_key) {
            old.insert(noted.key_id, (key, noted.expired_ms));
        }
    }
    old.remove(current);
    Ok(old)
}

/// Finds out what another server would see of `server`, this one if none is named: `plexus federation check`. The server need not run on this machine.
pub async fn check_federation(config: &Config, server: Option<&ServerName>) -> Result<Vec<Finding>, RunError> {
    let clock = Clock::system();
    let now_ms = clock.now_ms();
    let handle = Handle::current();
    let spawn: Spawn = Arc::new(move |task| {
        handle.spawn(task);
    });
    let now: Now = Arc::new(move || clock.now_ms());
    let addresses = config.outbound_rules()?.addresses;
    let transport = Transport::system(&addresses, &config.federation.trust(), now, spawn);
    let transport = transport.map_err(RunError::Federation)?;
    let server = server.unwrap_or(&config.server_name);
    let own = keys::read(&config.signing_key_path())?.filter(|_| *server == config.server_name);
    let expected = own.as_ref().map(|key| Expected {
        key_id: key.key_id(),
        key: key.verify_key(),
    });
    Ok(check(&transport, server, expected, now_ms).await)
}
