//! The configuration: one TOML file, the environment, the command line, checked before anything starts.
//!
//! [`Config`]'s structs are the only description of the keys; the example file and the errors are made from them.

use std::{io, net::SocketAddr, path::PathBuf};

use ipnet::IpNet;
use plexus_federation::outbound::OutboundConfig;

mod check;
mod defaults;
mod federation;
mod load;
mod reference;
mod secret;
mod sections;

pub use self::{
    check::Topology,
    load::Sources,
    reference::example,
    secret::{Secret, SecretUrl},
    sections::{
        Config, Database, Federation, Internal, Lease, Listen, Log, LogFormat, Media, Metrics, Outbound, Presence,
        Redis, Registration, Rooms, Search, UserDirectory,
    },
};

/// What is wrong with a configuration, one line for each thing.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A secret's file cannot be read.
    #[error("{place}: {key}: cannot read {}: {source}", path.display())]
    SecretFile {
        /// File and line, variable or option.
        place: String,
        /// The key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The text is not TOML.
    #[error("{place}: {message}")]
    Syntax {
        /// File and line.
        place: String,
        /// What the parser says.
        message: String,
    },
    /// There is no such key.
    #[error("{place}: unknown key {key:?}; did you mean {nearest:?}? Allowed {allowed}")]
    UnknownKey {
        /// File and line, variable or option.
        place: String,
        /// The key as written.
        key: String,
        /// The known key that looks most like it.
        nearest: String,
        /// The keys there are.
        allowed: String,
    },
    /// There is no such section.
    #[error("{place}: unknown section {section:?}; did you mean {nearest:?}? Sections: {allowed}")]
    UnknownSection {
        /// File and line, variable or option.
        place: String,
        /// The section as written.
        section: String,
        /// The known section that looks most like it.
        nearest: String,
        /// The sections there are.
        allowed: String,
    },
    /// The value does not fit the key.
    #[error("{place}: {key}: {message}. Allowed: {allowed}")]
    Value {
        /// File and line, variable or option.
        place: String,
        /// The key.
        key: String,
        /// What is wrong with the value.
        message: String,
        /// What the key means.
        allowed: String,
    },
    /// `--set` without `=`.
    #[error("--set {0}: expected section.key=value")]
    Assignment(String),
    /// A value that is not allowed, or keys that do not go together.
    #[error("{0}")]
    Rule(String),
    /// More than one thing is wrong.
    #[error("{} things are wrong with the configuration:\n{}", .0.len(), lines(.0))]
    Several(Vec<ConfigError>),
}

fn lines(errors: &[ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl ConfigError {
    /// All that is wrong as one error, if anything is.
    fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.pop() {
            None => Ok(()),
            Some(only) if errors.is_empty() => Err(only),
            Some(last) => {
                errors.push(last);
                Err(Self::Several(errors))
            }
        }
    }
}

impl Config {
    /// Reads the sources, puts them together and checks the result.
    pub fn load(sources: &Sources, topology: Topology) -> Result<Self, ConfigError> {
        let (config, places) = load::merge(sources)?;
        check::check(&config, &places, topology)?;
        Ok(config)
    }

    /// Where the signing key is.
    pub fn signing_key_path(&self) -> PathBuf {
        if self.signing_key_file == PathBuf::new() {
            self.data_dir.join("signing.key")
        } else {
            self.signing_key_file.clone()
        }
    }

    /// Where the embedded database is; `None` when PostgreSQL is used.
    pub fn sqlite_path(&self) -> Option<PathBuf> {
        self.database.url.is_empty().then(|| self.data_dir.join("plexus.db"))
    }

    /// Where uploaded files are.
    pub fn media_folder(&self) -> PathBuf {
        if self.media.dir == PathBuf::new() {
            self.data_dir.join("media")
        } else {
            self.media.dir.clone()
        }
    }

    /// Where `/metrics` is served besides the internal listener.
    pub fn metrics_address(&self) -> Result<Option<SocketAddr>, ConfigError> {
        address("metrics.address", &self.metrics.address)
    }

    /// Where TLS is spoken, if anywhere.
    pub fn tls_address(&self) -> Result<Option<SocketAddr>, ConfigError> {
        address("listen.tls_address", &self.listen.tls_address)
    }

    /// How requests to others go out.
    pub fn outbound_rules(&self) -> Result<OutboundConfig, ConfigError> {
        let outbound = &self.outbound;
        let mut rules = OutboundConfig::default();
        rules.addresses.allowed = ranges("outbound.allowed_ranges", &outbound.allowed_ranges)?;
        rules
            .addresses
            .denied
            .extend(ranges("outbound.denied_ranges", &outbound.denied_ranges)?);
        if !outbound.extra_ca_file.as_os_str().is_empty() {
            rules.extra_ca_files.push(outbound.extra_ca_file.clone());
        }
        Ok(rules)
    }
}

/// An address, or nothing.
fn address(key: &str, text: &str) -> Result<Option<SocketAddr>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    let refused = |_| ConfigError::Rule(format!("{key} is {text:?}, which is not an IP address and a port"));
    text.parse().map(Some).map_err(refused)
}

/// Ranges of addresses with commas between them.
fn ranges(key: &str, text: &str) -> Result<Vec<IpNet>, ConfigError> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            part.parse().map_err(|_| {
                ConfigError::Rule(format!(
                    "{key} has {part:?}, which is not a range of addresses in CIDR notation"
                ))
            })
        })
        .collect()
}
