//! `plexus register-user`: an account made from the command line, whether the server is running or not.
//!
//! * Nothing runs: this process starts the server's inside, without listeners, and is its master for a moment.
//! * Several processes run: this one joins the log like any of them and sends the Command to the leader.
//! * One process runs: nobody else gets at its data, so it is asked over HTTP, with the secret in `data_dir`.

use plexus_service::{ServiceError, users::register::register_account};
use plexus_storage::db::DbError;

use crate::{
    config::{Config, Secret, Topology},
    data,
    error::RunError,
    leader,
    node::{Node, NodeParts},
    role::Role,
};

mod over_http;

/// The account asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct NewUser {
    /// The part of the user id between @ and the colon.
    pub name: String,
    /// Its password.
    pub password: String,
    /// Whether it administers the server.
    pub admin: bool,
}

impl std::fmt::Debug for NewUser {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewUser")
            .field("name", &self.name)
            .field("admin", &self.admin)
            .finish_non_exhaustive()
    }
}

/// Why there is no account.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The server's inside does not start.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The server refused, or could not do it.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The running server cannot be asked.
    #[error("a server is running on this data, but it cannot be asked: {0}")]
    Http(String),
    /// The server refused.
    #[error("there is no new account for {name}: {reason}")]
    Refused {
        /// Who should have had one.
        name: String,
        /// Why not.
        reason: String,
    },
}

/// Makes the account and returns its user id. `master` is the role to take when nobody leads.
pub async fn register_user(config: &Config, master: Role, user: NewUser) -> Result<String, RegisterError> {
    let roles: &[Role] = match leader_address(config).await? {
        Leader::Nobody => &[master],
        Leader::TakesCommands => &[],
        Leader::Alone => return over_http::register(config, &user).await,
    };
    // Only a deployment of several processes has a secret between them.
    let topology = if config.internal.secret.is_empty() {
        Topology::One
    } else {
        Topology::Split
    };
    let parts = NodeParts {
        config,
        topology,
        name: "plexus",
        roles,
        grpc_address: None,
        registration_secret: Secret::default(),
    };
    let node = Node::start(parts).await?;
    let made = register_account(&node.ctx, &user.name, user.password, user.admin).await;
    node.stop().await;
    match made {
        Ok(user_id) => Ok(user_id.to_string()),
        Err(ServiceError::Refused { message, .. }) => Err(RegisterError::Refused {
            name: user.name,
            reason: message,
        }),
        Err(ServiceError::Matrix { error, .. }) => Err(RegisterError::Refused {
            name: user.name,
            reason: error,
        }),
        Err(error) => Err(RegisterError::Service(error)),
    }
}

/// Who leads, as far as it matters here.
enum Leader {
    Nobody,
    TakesCommands,
    Alone,
}

async fn leader_address(config: &Config) -> Result<Leader, RunError> {
    let db = match data::connect(config).await {
        Err(RunError::Database(DbError::InUse(_))) => return Ok(Leader::Alone),
        other => other?,
    };
    if config.sqlite_path().is_some() {
        // Whoever held a lease on the embedded database is gone, or it could not have been opened.
        return Ok(Leader::Nobody);
    }
    // An empty database has no leases yet.
    if plexus_storage::db::require_schema(&db).await.is_err() {
        return Ok(Leader::Nobody);
    }
    let lease = leader::current(&db).await?;
    Ok(match lease.as_ref().map(|lease| leader::address_of(&lease.holder)) {
        None => Leader::Nobody,
        Some(Some(_)) => Leader::TakesCommands,
        Some(None) => Leader::Alone,
    })
}
