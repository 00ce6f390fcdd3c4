//! The roles a process can have. Each is a value: a list of route families, and for one of them the way to start the master.

use std::sync::Arc;

use plexus_api::routes::Family;
use plexus_federation::outbound::Client;
use plexus_federation_sender::SenderParts;
use plexus_master::{Identity, Master, MasterConfig};
use plexus_replication::{Clock, MasterTarget, master_server};
use plexus_runtime::{BackgroundParts, MasterParts, MasterRole, Role, RunError};
use tonic::service::Routes;

/// Changes ordered data; one leads, others of its kind stand by.
const MASTER: Role = Role {
    name: "master",
    families: &[],
    master: Some(start_master),
    background: None,
};

/// Answers the client API but for what the next ones take, other servers, and the administration.
const CLIENT_READER: Role = Role {
    name: "client-reader",
    families: &[Family::Client, Family::Federation, Family::Admin],
    master: None,
    background: None,
};

/// Answers long-polling sync.
const SYNC: Role = Role {
    name: "sync",
    families: &[Family::Sync],
    master: None,
    background: None,
};

/// Takes and gives files.
const MEDIA: Role = Role {
    name: "media",
    families: &[Family::Media],
    master: None,
    background: None,
};

/// Delivers to others: events and EDUs to other servers, notifications to push gateways.
const FEDERATION_SENDER: Role = Role {
    name: "federation-sender",
    families: &[],
    master: None,
    background: Some(start_sender),
};

/// Every role there is.
pub(crate) static ROLES: &[Role] = &[MASTER, CLIENT_READER, SYNC, MEDIA, FEDERATION_SENDER];

/// Finds a role by its name.
pub(crate) fn parse(name: &str) -> Result<Role, String> {
    let known = || ROLES.iter().map(|role| role.name).collect::<Vec<_>>().join(", ");
    ROLES
        .iter()
        .find(|role| role.name == name)
        .copied()
        .ok_or_else(|| format!("the roles are {}", known()))
}

/// Starts delivering.
fn start_sender(parts: BackgroundParts) -> Result<(), RunError> {
    let BackgroundParts {
        ctx,
        outbound,
        share,
        tasks,
    } = parts;
    let sender = SenderParts {
        ctx,
        outbound: Client::new(&outbound)?,
        share,
        tasks: tasks.clone(),
    };
    tasks.spawn(plexus_federation_sender::run(sender));
    Ok(())
}

/// Makes the master out of what the process has.
fn start_master(parts: MasterParts) -> MasterRole {
    let MasterParts {
        replica,
        server_name,
        signing_key,
        holder,
        lease_ttl,
        secret,
        shutdown,
    } = parts;
    let config = MasterConfig {
        identity: Identity {
            server_name,
            signing_key,
            clock: Clock::system(),
        },
        holder,
        lease_ttl,
    };
    let master = Arc::new(Master::new(config, replica));
    let slowest = master.slowest_rooms();
    MasterRole {
        target: MasterTarget::here(master.service()),
        grpc: secret.map(|secret| Routes::new(master_server(master.service(), secret))),
        leading: Arc::new(master.leading()),
        slowest_rooms: Arc::new(slowest),
        run: Box::pin(async move { master.run(shutdown).await }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_exactly_one_role() {
        for family in Family::ALL {
            let serving = ROLES.iter().filter(|role| role.families.contains(&family)).count();
            assert_eq!(serving, 1, "{}", family.as_str());
        }
    }

    #[test]
    fn one_role_leads() {
        assert_eq!(ROLES.iter().filter(|role| role.master.is_some()).count(), 1);
    }
}
