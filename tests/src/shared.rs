//! One cluster for all scenarios of a group, and one runtime for everything.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, OnceLock},
};

use tokio::{
    runtime::Runtime,
    sync::{Mutex, OnceCell},
};

use crate::{
    cluster::{Cluster, Topology},
    synapse::Synapse,
};

/// A cluster that is started by the first scenario that needs it, and ended with the test process.
#[derive(Debug)]
pub struct Shared {
    topology: Topology,
    federated: bool,
    cluster: OnceCell<Arc<Cluster>>,
    /// Held by a scenario that must not meet another one, because it harms the cluster.
    turn: Option<Mutex<()>>,
}

impl Shared {
    /// A cluster of its own for one group of scenarios.
    pub const fn new(topology: Topology) -> Self {
        Self::made(topology, false, None)
    }

    /// The same, for scenarios that kill processes and so have to take turns.
    pub const fn by_turns(topology: Topology) -> Self {
        Self::made(topology, false, Some(Mutex::const_new(())))
    }

    /// One that other servers talk to.
    pub const fn federated(topology: Topology) -> Self {
        Self::made(topology, true, None)
    }

    /// One that other servers talk to, for scenarios that take turns.
    pub const fn federated_by_turns(topology: Topology) -> Self {
        Self::made(topology, true, Some(Mutex::const_new(())))
    }

    const fn made(topology: Topology, federated: bool, turn: Option<Mutex<()>>) -> Self {
        Self {
            topology,
            federated,
            cluster: OnceCell::const_new(),
            turn,
        }
    }

    async fn start(&self) -> Arc<Cluster> {
        Arc::new(if self.federated {
            Cluster::start_federated(self.topology).await
        } else {
            Cluster::start(self.topology).await
        })
    }

    /// Runs one scenario on the cluster. If it fails, the ends of all logs are printed.
    pub fn run<F: Future<Output = ()>>(&self, scenario: impl FnOnce(Arc<Cluster>) -> F) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            run(async {
                let _turn = match &self.turn {
                    Some(turn) => Some(turn.lock().await),
                    None => None,
                };
                let cluster = self.cluster.get_or_init(|| self.start()).await;
                scenario(Arc::clone(cluster)).await;
            });
        }));
        if let Err(panic) = outcome {
            if let Some(cluster) = self.cluster.get() {
                eprintln!("{}", cluster.tails());
            }
            if let Some(complaints) = Synapse::complaints() {
                eprintln!("--- synapse ---\n{complaints}");
            }
            resume_unwind(panic);
        }
    }
}

/// Runs a test on the one runtime of the process: proxies and pooled connections outlive the test that made them.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let start = || Runtime::new().expect("a runtime can be started");
    RUNTIME.get_or_init(start).block_on(test)
}
