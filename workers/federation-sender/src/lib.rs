//! Everything that is delivered to others by a durable cursor: events and EDUs to other servers, notifications to push gateways.
//!
//! Any number of processes can have this role. What is delivered is divided among them by name, and follows when one comes or goes.

mod delivery;
mod metrics;
mod pushers;

use std::{fmt, sync::Arc};

use plexus_federation::outbound::Client;
use plexus_replication::Tasks;
use plexus_service::Ctx;

/// Whether a thing of this name is for this process to deliver, now.
pub type Share = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// What a sender is made of.
pub struct SenderParts {
    /// What service functions are given.
    pub ctx: Ctx,
    /// The way out.
    pub outbound: Client,
    /// What is this process's part.
    pub share: Share,
    /// Where its tasks run.
    pub tasks: Tasks,
}

impl fmt::Debug for SenderParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SenderParts")
            .field("ctx", &self.ctx)
            .finish_non_exhaustive()
    }
}

/// Delivers until the process ends.
pub async fn run(parts: SenderParts) {
    let parts = Arc::new(parts);
    tokio::join!(delivery::run(Arc::clone(&parts)), pushers::run(parts));
}
