//! What this server says to the world outside, and how servers find and trust each other.
//!
//! Every request to an address that somebody else chose goes through [`outbound::Client`]: there is no other HTTP client in the house. Other servers are
//! asked through [`Federation`], which knows where they are, what they sign with, and which of them do not answer.

pub mod address;
pub mod check;
pub mod destinations;
pub mod discovery;
pub mod events;
pub mod flights;
pub mod identity;
pub mod keys;
pub mod metrics;
pub mod multipart;
pub mod outbound;
pub mod queries;
pub mod request;
pub mod rooms;
#[cfg(test)]
mod testing;
pub mod transport;
pub mod x_matrix;

use std::{collections::BTreeMap, fmt, sync::Arc};

use plexus_core::event::SigningKey;
use plexus_storage::Store;
use ruma::ServerName;

pub use self::flights::Spawn;
use self::{
    destinations::Destinations,
    keys::{Keys, KeysParts, Notary, document::OwnKeys},
    outbound::{AddressRules, OutboundError, Trust},
    transport::Transport,
};

/// Tells the time in milliseconds since 1970.
pub type Now = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What this server's place in the federation is made of.
pub struct FederationParts {
    /// Its name and its keys.
    pub own: OwnKeys,
    /// How long the keys that it publishes count.
    pub key_validity_ms: i64,
    /// Which addresses may be connected to.
    pub addresses: AddressRules,
    /// Which certificates are believed.
    pub trust: Trust,
    /// Who is asked for others' keys.
    pub notaries: Vec<Notary>,
    /// Where keys and failures are kept.
    pub store: Store,
    /// The time.
    pub now: Now,
    /// Where connections live.
    pub spawn: Spawn,
}

impl FederationParts {
    /// A server that trusts what the system trusts, and asks nobody for others' keys.
    pub fn alone(server: &ServerName, signing: SigningKey, store: Store, now: Now, spawn: Spawn) -> Self {
        Self {
            own: OwnKeys {
                server: server.to_owned(),
                signing: Arc::new(signing),
                old: BTreeMap::new(),
            },
            key_validity_ms: 24 * 3600 * 1000,
            addresses: AddressRules::default(),
            trust: Trust::default(),
            notaries: Vec::new(),
            store,
            now,
            spawn,
        }
    }
}

impl fmt::Debug for FederationParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FederationParts")
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

/// This server among others. Cheap to clone.
#[derive(Clone)]
pub struct Federation(Arc<Inner>);

struct Inner {
    keys: Keys,
    transport: Transport,
    destinations: Destinations,
    spawn: Spawn,
}

impl fmt::Debug for Federation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Federation")
            .field("keys", &self.0.keys)
            .finish_non_exhaustive()
    }
}

impl Federation {
    /// Reads the certificates to trust; nothing is connected to yet.
    pub fn new(parts: FederationParts) -> Result<Self, OutboundError> {
        let FederationParts {
            own,
            key_validity_ms,
            addresses,
            trust,
            notaries,
            store,
            now,
            spawn,
        } = parts;
        let transport = Transport::system(&addresses, &trust, Arc::clone(&now), Arc::clone(&spawn))?;
        let destinations = Destinations::new(store.clone(), Arc::clone(&now));
        let keys = Keys::new(KeysParts {
            own,
            validity_ms: key_validity_ms,
            notaries,
            store,
            transport: transport.clone(),
            now,
            spawn: Arc::clone(&spawn),
        });
        Ok(Self(Arc::new(Inner {
            keys,
            transport,
            destinations,
            spawn,
        })))
    }

    /// This server's name.
    pub fn server_name(&self) -> &ServerName {
        &self.0.keys.own().server
    }

    /// The keys of this server and of others.
    pub fn keys(&self) -> &Keys {
        &self.0.keys
    }

    /// The way to others, for requests that are not signed.
    pub fn transport(&self) -> &Transport {
        &self.0.transport
    }

    /// Which servers do not answer.
    pub fn destinations(&self) -> &Destinations {
        &self.0.destinations
    }

    /// Runs some work to its end, whether or not anybody waits for it so long: others have been told of it. Nothing if the process stops.
    ///
    /// It has begun when this returns, so that who waits does not hold it as well.
    pub fn see_through<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Option<T>> {
        let (give, take) = tokio::sync::oneshot::channel();
        (self.0.spawn)(Box::pin(async move {
            let _gone = give.send(work.await);
        }));
        async { take.await.ok() }
    }

    /// Starts work that goes on when whoever began it is gone.
    pub fn spawn(&self) -> &Spawn {
        &self.0.spawn
    }
}
