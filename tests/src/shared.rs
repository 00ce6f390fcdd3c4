//! One cluster for all scenarios of a group, and one runtime for everything.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, OnceLock},
};

use tokio::{
    runtime::{Handle, Runtime},
    sync::Mutex,
    task::spawn_blocking,
    time::{Duration, sleep},
};

use crate::{
    cluster::{Cluster, Topology},
    synapse::Synapse,
};

/// How long a cluster waits for another scenario of its group. Those of a group run one after the other.
const IDLE: Duration = Duration::from_secs(5);

/// A cluster that is started by the first scenario that needs it, and ended once none does: dozens of them, each of many processes, would keep the machine
/// busy by waiting.
#[derive(Debug)]
pub struct Shared {
    topology: Topology,
    federated: bool,
    used: Mutex<Used>,
    /// Held by a scenario that must not meet another one, because it harms the cluster.
    turn: Option<Mutex<()>>,
}

/// Who uses a cluster.
#[derive(Debug)]
struct Used {
    cluster: Option<Arc<Cluster>>,
    scenarios: usize,
    /// How often it was begun to be used.
    begun: usize,
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
            used: Mutex::const_new(Used {
                cluster: None,
                scenarios: 0,
                begun: 0,
            }),
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
    pub fn run<F: Future<Output = ()>>(&'static self, scenario: impl FnOnce(Arc<Cluster>) -> F) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            run(async {
                let _turn = match &self.turn {
                    Some(turn) => Some(turn.lock().await),
                    None => None,
                };
                scenario(self.enter().await).await;
            });
        }));
        if let Err(panic) = outcome {
            if let Some(cluster) = &run(self.used.lock()).cluster {
                eprintln!("{}", cluster.tails());
            }
            run(self.leave());
            if let Some(complaints) = Synapse::complaints() {
                eprintln!("--- synapse ---\n{complaints}");
            }
            resume_unwind(panic);
        }
        run(self.leave());
    }

    async fn enter(&self) -> Arc<Cluster> {
        let mut used = self.used.lock().await;
        used.scenarios += 1;
        used.begun += 1;
        let cluster = match used.cluster.take() {
            Some(cluster) => cluster,
            None => self.start().await,
        };
        used.cluster = Some(Arc::clone(&cluster));
        cluster
    }

    async fn leave(&'static self) {
        let mut used = self.used.lock().await;
        used.scenarios -= 1;
        if used.scenarios > 0 {
            return;
        }
        let begun = used.begun;
        Handle::current().spawn(async move {
            sleep(IDLE).await;
            let mut used = self.used.lock().await;
            if used.scenarios == 0 && used.begun == begun {
                let cluster = used.cluster.take();
                let _ended = spawn_blocking(move || drop(cluster)).await;
            }
        });
    }
}

/// Runs a test on the one runtime of the process: proxies and pooled connections outlive the test that made them.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let start = || Runtime::new().expect("a runtime can be started");
    RUNTIME.get_or_init(start).block_on(test)
}
