//! Why a process does not start, or stops: one line each, for the operator.

use std::{io, net::SocketAddr, path::PathBuf};

use plexus_federation::outbound::OutboundError;
use plexus_replication::{BusError, InvalidSecret, StartError};
use plexus_storage::{StoreError, db::DbError};

use crate::{config::ConfigError, keys::KeyFileError};

/// Why a process does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The signing key is missing or damaged.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DbError),
    /// What is in the database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data is another server's.
    #[error("the database belongs to {found}, and server_name is {configured}; a server cannot change its name")]
    OtherServer {
        /// Whose data it is.
        found: String,
        /// Whose it should be.
        configured: String,
    },
    /// The data was signed with another key.
    #[error("the database's events are signed with {found}, and {} holds {configured}", path.display())]
    OtherKey {
        /// The key in use.
        found: String,
        /// The key in the file.
        configured: String,
        /// The file.
        path: PathBuf,
    },
    /// An address cannot be had.
    #[error("{key}: cannot listen on {address}: {source}")]
    Listen {
        /// The key of the configuration.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A file in `data_dir` cannot be written or read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// The secret of the internal plane has characters that cannot travel.
    #[error("internal.secret_file or PLEXUS_INTERNAL__SECRET: {0}")]
    Secret(#[from] InvalidSecret),
    /// Redis's address is no address.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The end of the log cannot be read.
    #[error("{0}: {source}", source = std::error::Error::source(.0).map_or_else(String::new, ToString::to_string))]
    Log(#[from] StartError),
    /// The operating system refuses threads, signals or the like.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// Requests to others cannot go out: the certificates to trust cannot be read.
    #[error("outbound.extra_ca_file: {0}")]
    Outbound(#[from] OutboundError),
    /// Other servers cannot be trusted: the certificates of their authorities cannot be read.
    #[error("federation.custom_ca_list: {0}")]
    Federation(#[source] OutboundError),
    /// The certificate for TLS cannot be used.
    #[error("listen.tls_certificate_file, listen.tls_key_file: {0}")]
    Tls(String),
    /// Two routes contradict each other: a mistake in the program.
    #[error("the route table is wrong: {0}")]
    Routes(String),
    /// The metrics cannot be recorded.
    #[error("cannot record metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}
