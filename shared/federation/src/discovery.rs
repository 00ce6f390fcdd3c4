//! Where a server is: from its name to hosts and ports, the name its certificate has to be for, and the `Host` header.
//!
//! See <https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names>. The steps are ours; what they look up is handed in.

mod srv;
#[cfg(test)]
mod tests;
pub(crate) mod well_known;

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use quick_cache::sync::Cache;
use ruma::{OwnedServerName, ServerName};

use crate::{
    Now,
    address::{Address, Host},
    flights::{Flights, Spawn},
    outbound::{Answer, OutboundError},
};
pub(crate) use srv::system_srv;
pub use srv::{LookUpSrv, SrvRecord};

/// The port of servers that name none.
pub const DEFAULT_PORT: u16 = 8448;
/// Most hosts whose `.well-known` is remembered.
const REMEMBERED_MAX: usize = 20_000;
/// Most places of one server that are tried.
pub(crate) const TARGETS_MAX: usize = 3;
/// By how much lifetimes are shortened at most, so that those that began together do not end together: a tenth.
const JITTER_PARTS: u64 = 10;

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// An address, or a name whose addresses are to be looked up.
    pub host: Host,
    /// The port.
    pub port: u16,
}

/// How requests reach a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The `Host` header.
    pub host_header: String,
    /// Whose certificate the other side has to show.
    pub certificate: Host,
    /// Where to connect, in this order.
    pub targets: Vec<Target>,
    /// How it was found, for people.
    pub steps: Vec<String>,
}

/// Why a server cannot be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// Its SRV records say so.
    #[error("{0} says in its SRV records that it takes no federation")]
    NoService(String),
    /// The process stops.
    #[error("the process is stopping")]
    Stopping,
}

/// Fetches `/.well-known/matrix/server` of a host, following redirects.
pub(crate) type FetchWellKnown = Arc<dyn Fn(String) -> BoxFuture<'static, Result<Answer, OutboundError>> + Send + Sync>;

/// Finds servers. Cheap to clone.
#[derive(Clone)]
pub struct Discovery(Arc<Inner>);

struct Inner {
    fetch: FetchWellKnown,
    srv: LookUpSrv,
    now: Now,
    remembered: Cache<String, Remembered>,
    flights: Arc<Flights<String, Remembered>>,
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").finish_non_exhaustive()
    }
}

/// What a host's `.well-known` said.
#[derive(Clone, Debug)]
struct Remembered {
    delegated: Option<OwnedServerName>,
    /// Until when that counts.
    until_ms: i64,
    /// Until when a delegation counts although the host does not answer any more.
    stale_until_ms: i64,
    /// How often it failed in a row.
    failures: u32,
}

impl Discovery {
    pub(crate) fn new(fetch: FetchWellKnown, srv: LookUpSrv, now: Now, spawn: Spawn) -> Self {
        Self(Arc::new(Inner {
            fetch,
            srv,
            now,
            remembered: Cache::new(REMEMBERED_MAX),
            flights: Flights::new(spawn),
        }))
    }

    /// How requests reach a server.
    pub async fn route(&self, server: &ServerName) -> Result<Route, DiscoveryError> {
        let Address { host, port } = Address::of(server);
        if let Some(route) = plain(server, &host, port) {
            return Ok(route);
        }
        let name = host.to_string();
        let remembered = self.well_known(&name).await?;
        let Some(delegated) = remembered.delegated else {
            let step = format!("https://{name}{} names no other server", well_known::PATH);
            return self.by_srv(name, vec![step]).await;
        };
        let step = format!("https://{name}{} names {delegated}", well_known::PATH);
        let Address { host, port } = Address::of(&delegated);
        if let Some(mut route) = plain(&delegated, &host, port) {
            route.steps.insert(0, step);
            return Ok(route);
        }
        self.by_srv(host.to_string(), vec![step]).await
    }

    /// By the SRV records of a name without port, or else at the usual port.
    async fn by_srv(&self, name: String, mut steps: Vec<String>) -> Result<Route, DiscoveryError> {
        for service in ["_matrix-fed._tcp", "_matrix._tcp"] {
            let query = format!("{service}.{name}");
            let records = match (self.0.srv)(query.clone()).await {
                Ok(records) => records,
                // Without name servers there may still be a hosts file; the certificate is for the same name in any case.
                Err(error) => {
                    steps.push(format!("SRV {query}: {error}"));
                    continue;
                }
            };
            if records.is_empty() {
                steps.push(format!("SRV {query}: none"));
                continue;
            }
            let mut targets = srv::order(records, |n| rand::random_range(0..n.max(1)));
            if targets.is_empty() {
                return Err(DiscoveryError::NoService(name));
            }
            targets.truncate(TARGETS_MAX);
            steps.push(format!("SRV {query}: {}", list(&targets)));
            return Ok(Route {
                host_header: name.clone(),
                certificate: Host::Name(name),
                targets,
                steps,
            });
        }
        let host = Host::Name(name.clone());
        steps.push(format!("port {DEFAULT_PORT}, as nothing names another"));
        Ok(Route {
            host_header: name,
            certificate: host.clone(),
            targets: vec![Target {
                host,
                port: DEFAULT_PORT,
            }],
            steps,
        })
    }

    /// What the host's `.well-known` says: remembered, or asked now.
    async fn well_known(&self, host: &str) -> Result<Remembered, DiscoveryError> {
        let now = (self.0.now)();
        let known = self.0.remembered.get(host);
        if let Some(known) = known.as_ref().filter(|known| known.until_ms > now) {
            return Ok(known.clone());
        }
        let (inner, name) = (Arc::clone(&self.0), host.to_owned());
        let asking = move || async move {
            let answer = (inner.fetch)(name.clone()).await;
            let remembered = remember(known.as_ref(), answer, (inner.now)());
            inner.remembered.insert(name, remembered.clone());
            remembered
        };
        let asked = self.0.flights.join(host.to_owned(), asking).await;
        asked.ok_or(DiscoveryError::Stopping)
    }
}

/// The route to a server whose name says everything: an address, or a port.
fn plain(server: &ServerName, host: &Host, port: Option<u16>) -> Option<Route> {
    let step = match (host, port) {
        (Host::Name(_), None) => return None,
        (Host::Ip(_), None) => format!("{server} is an address"),
        (Host::Ip(_) | Host::Name(_), Some(_)) => format!("{server} has a port"),
    };
    let port = port.unwrap_or(DEFAULT_PORT);
    Some(Route {
        host_header: server.to_string(),
        certificate: host.clone(),
        targets: vec![Target {
            host: host.clone(),
            port,
        }],
        steps: vec![step],
    })
}

/// What is remembered of an answer, or of none, after what was remembered before.
fn remember(before: Option<&Remembered>, answer: Result<Answer, OutboundError>, now_ms: i64) -> Remembered {
    let later = |lifetime: Duration| now_ms.saturating_add(i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX));
    let failures = before.map_or(0, |before| before.failures).saturating_add(1);
    let failed_until = later(well_known::failure_lifetime(failures));
    let is_temporary = answer.as_ref().map_or(true, |answer| answer.status.is_server_error());
    let delegated = answer.as_ref().ok().and_then(well_known::delegated);
    match (answer, delegated) {
        (Ok(answer), Some(delegated)) => Remembered {
            delegated: Some(delegated),
            until_ms: later(shortened(well_known::lifetime(&answer.headers))),
            stale_until_ms: later(well_known::LIFETIME_MAX),
            failures: 0,
        },
        // A site that is down for an hour does not move the server.
        (_, None) if is_temporary => {
            let stale = before.filter(|before| before.delegated.is_some() && before.stale_until_ms > now_ms);
            Remembered {
                delegated: stale.and_then(|before| before.delegated.clone()),
                until_ms: failed_until,
                stale_until_ms: stale.map_or(0, |before| before.stale_until_ms),
                failures,
            }
        }
        (_, _) => Remembered {
            delegated: None,
            until_ms: failed_until,
            stale_until_ms: 0,
            failures,
        },
    }
}

/// A little shorter, by lot.
fn shortened(lifetime: Duration) -> Duration {
    let tenth = lifetime.as_secs() / JITTER_PARTS;
    lifetime.saturating_sub(Duration::from_secs(rand::random_range(0..=tenth)))
}

fn list(targets: &[Target]) -> String {
    let targets = targets.iter().map(|target| format!("{}:{}", target.host, target.port));
    targets.collect::<Vec<_>>().join(", ")
}
