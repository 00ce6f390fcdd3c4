//! What a process does: a role is a list of route families, and work in the background.

use std::{pin::Pin, sync::Arc, time::Duration};

use plexus_api::routes::Family;
use plexus_core::event::SigningKey;
use plexus_federation::outbound::OutboundConfig;
use plexus_replication::{MasterTarget, Replica, Secret, Tasks};
use plexus_service::Ctx;
use ruma::OwnedServerName;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::error::RunError;

/// One role. The roles there are stand in `workers/plexus/src/roles.rs`.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// Its name on the command line and in the registry.
    pub name: &'static str,
    /// The requests it answers itself; others it forwards.
    pub families: &'static [Family],
    /// Starts the master, for the role that can be it. The crates of workers are above this one, so it is handed in.
    pub master: Option<StartMaster>,
    /// What it does besides answering requests, until the process ends. Handed in for the same reason.
    pub background: Option<StartBackground>,
}

/// How a role's work in the background is started. It spawns its tasks and returns.
pub type StartBackground = fn(BackgroundParts) -> Result<(), RunError>;

/// What work in the background is made of.
pub struct BackgroundParts {
    /// What service functions are given.
    pub ctx: Ctx,
    /// How requests to others go out.
    pub outbound: OutboundConfig,
    /// Whether a thing of this name is for this process, among all that have the role now.
    pub share: Share,
    /// Where its tasks run.
    pub tasks: Tasks,
}

impl std::fmt::Debug for BackgroundParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackgroundParts")
            .field("ctx", &self.ctx)
            .finish_non_exhaustive()
    }
}

/// Divides names among the processes of a role.
pub type Share = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// How the master is started.
pub type StartMaster = fn(MasterParts) -> MasterRole;

/// What a master is made of.
#[derive(Debug)]
pub struct MasterParts {
    /// The log as this process sees it; its store is the master's store.
    pub replica: Replica,
    /// The name in the ids of the server's users.
    pub server_name: OwnedServerName,
    /// What events are signed with.
    pub signing_key: Arc<SigningKey>,
    /// What the lease is held as: it tells the other processes where this master is.
    pub holder: String,
    /// How long the lease lasts unless renewed.
    pub lease_ttl: Duration,
    /// The secret of the processes that may send it Commands; without one there is no way in from other processes.
    pub secret: Option<Secret>,
    /// Tells it to hand over.
    pub shutdown: CancellationToken,
}

/// A master that has been made, leading or standing by.
pub struct MasterRole {
    /// The way to it inside this process.
    pub target: MasterTarget,
    /// The way to it from other processes.
    pub grpc: Option<Routes>,
    /// Leads whenever it can, until it is told to hand over.
    pub run: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Whether it leads now.
    pub leading: Leading,
    /// The rooms whose states take it longest to resolve, as JSON.
    pub slowest_rooms: SlowestRooms,
}

/// Whether the master of this process leads now.
pub type Leading = Arc<dyn Fn() -> bool + Send + Sync>;

/// Tells which rooms keep the master of this process busy.
pub type SlowestRooms = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

impl std::fmt::Debug for MasterRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MasterRole")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// Every family that some of these roles answer, each once.
pub fn families(roles: &[Role]) -> Vec<Family> {
    Family::ALL
        .into_iter()
        .filter(|family| roles.iter().any(|role| role.families.contains(family)))
        .collect()
}
