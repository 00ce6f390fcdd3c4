//! Standing by, leading, stepping down.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use plexus_core::position::{Epoch, WriterId};
use plexus_replication::Replica;
use plexus_storage::leases;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    leader::{Identity, Leader},
    metrics,
    service::MasterService,
};

/// How a master gets and keeps its lease.
#[derive(Clone, Debug)]
pub struct MasterConfig {
    /// What it signs and names things with.
    pub identity: Identity,
    /// Unique to one run of one process, unless something else holds that there is only one: its own lease it may take again at once.
    pub holder: String,
    /// How long a lease lasts unless it is renewed: how long others wait for a master that was killed.
    pub lease_ttl: Duration,
}

/// A process with the master's role, leading or not.
#[derive(Debug)]
pub struct Master {
    config: MasterConfig,
    replica: Replica,
    leading: watch::Sender<Option<Arc<Term>>>,
}

/// A leader and how long its lease is known to be good.
#[derive(Debug)]
pub(crate) struct Term {
    pub(crate) leader: Arc<Leader>,
    /// By the monotonic clock, which goes on while the process is stopped.
    good_until: watch::Sender<Instant>,
}

impl Term {
    /// Whether nobody else can lead yet.
    pub(crate) fn is_good(&self) -> bool {
        !self.leader.deposed.is_cancelled() && Instant::now() < *self.good_until.borrow()
    }
}

impl Master {
    /// A master that does not lead yet.
    pub fn new(config: MasterConfig, replica: Replica) -> Self {
        Self {
            config,
            replica,
            leading: watch::Sender::new(None),
        }
    }

    /// The service workers call. It answers "unavailable" while this process stands by.
    pub fn service(&self) -> MasterService {
        MasterService::new(self.leading.subscribe(), self.replica.store().clone())
    }

    /// Whether this process leads; changes as it is elected and deposed.
    pub fn leading(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let leading = self.leading.subscribe();
        move || leading.borrow().is_some()
    }

    /// The rooms whose states take longest to resolve, while this process leads, as a JSON array.
    pub fn slowest_rooms(&self) -> impl Fn() -> serde_json::Value + Send + Sync + 'static {
        let leading = self.leading.subscribe();
        move || {
            let rooms = leading
                .borrow()
                .as_ref()
                .map(|term| term.leader.resolver.slowest.list());
            serde_json::json!(rooms.unwrap_or_default())
        }
    }

    /// Leads whenever the lease can be had, until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        while let Some((epoch, asked)) = self.acquire(&shutdown).await {
            match Leader::start(&self.config.identity, &self.replica, epoch).await {
                Ok(leader) => self.lead(leader, asked, &shutdown).await,
                Err(error) => tracing::error!(%error, "this process cannot lead"),
            }
            self.release(epoch).await;
        }
    }

    /// Waits for the lease. Returns with it when it was asked for: it lasts from then.
    async fn acquire(&self, shutdown: &CancellationToken) -> Option<(Epoch, Instant)> {
        while !shutdown.is_cancelled() {
            let asked = Instant::now();
            let got = leases::acquire(
                self.replica.store().db(),
                WriterId::MASTER,
                &self.config.holder,
                self.ttl_ms(),
            )
            .await;
            match got {
                Ok(Some(epoch)) => return Some((epoch, asked)),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "the lease cannot be read"),
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(self.config.lease_ttl / 8) => {}
            }
        }
        None
    }

    async fn lead(&self, leader: Arc<Leader>, asked: Instant, shutdown: &CancellationToken) {
        tracing::info!(epoch = leader.epoch, "leading");
        metrics::leading(true);
        let good_until = watch::Sender::new(asked + self.config.lease_ttl);
        let term = Arc::new(Term {
            leader: Arc::clone(&leader),
            good_until,
        });
        self.leading.send_replace(Some(Arc::clone(&term)));
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = leader.deposed.cancelled() => {}
            () = self.keep_lease(&term) => {}
        }
        self.leading.send_replace(None);
        metrics::leading(false);
        leader.stop().await;
        tracing::info!(epoch = leader.epoch, "no longer leading");
    }

    /// Renews the lease until it is lost.
    async fn keep_lease(&self, term: &Term) {
        loop {
            tokio::time::sleep(self.config.lease_ttl / 4).await;
            let asked = Instant::now();
            let epoch = term.leader.epoch;
            match leases::renew(
                self.replica.store().db(),
                WriterId::MASTER,
                &self.config.holder,
                epoch,
                self.ttl_ms(),
            )
            .await
            {
                Ok(true) => {
                    term.good_until.send_replace(asked + self.config.lease_ttl);
                }
                Ok(false) => return tracing::warn!(epoch, "another master has taken the lease"),
                Err(error) if term.is_good() => tracing::warn!(%error, "the lease could not be renewed"),
                Err(error) => return tracing::error!(%error, "the lease ran out"),
            }
        }
    }

    /// The leader inside, for tests that reach past the service.
    #[cfg(test)]
    pub(crate) fn leader_for_tests(&self) -> Arc<Leader> {
        let leading = self.leading.borrow();
        Arc::clone(&leading.as_ref().expect("this master leads").leader)
    }

    fn ttl_ms(&self) -> i64 {
        i64::try_from(self.config.lease_ttl.as_millis()).unwrap_or(i64::MAX)
    }

    /// Lets a standby take over at once.
    async fn release(&self, epoch: Epoch) {
        if let Err(error) =
            leases::release(self.replica.store().db(), WriterId::MASTER, &self.config.holder, epoch).await
        {
            tracing::warn!(%error, "the lease could not be given back");
        }
    }
}
