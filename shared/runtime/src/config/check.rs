//! Rules that span several keys, or that the type of a key does not say.

use std::path::PathBuf;

use super::{ConfigError, sections::Config};

/// The lease may not be shorter, or a busy database costs the master its lease; nor longer, or nobody notices that it is gone.
const LEASE_TTL_MS: std::ops::RangeInclusive<u64> = 1000..=60_000;

/// More connections than this are a mistake: PostgreSQL's default is 100 in all.
const POOL_MAX: usize = 1000;

/// The room versions there are.
const ROOM_VERSIONS: std::ops::RangeInclusive<u8> = 1..=12;

/// Whether the process runs alone or beside others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One process runs every role.
    One,
    /// Several processes share a database.
    Split,
}

/// Checks the rules; the error is a sentence that says what to change.
pub(super) fn check(config: &Config, topology: Topology) -> Result<(), ConfigError> {
    check_values(config)?;
    check_registration(config)?;
    check_internal(config, topology)?;
    if topology == Topology::Split {
        check_split(config)?;
    }
    Ok(())
}

/// Rules of one key each.
fn check_values(config: &Config) -> Result<(), ConfigError> {
    let version: Option<u8> = config.rooms.default_version.parse().ok();
    if !version.is_some_and(|version| ROOM_VERSIONS.contains(&version)) {
        return rule(format!(
            "rooms.default_version is {:?}, but the versions are \"1\" to \"12\"",
            config.rooms.default_version
        ));
    }
    if !LEASE_TTL_MS.contains(&config.lease.ttl_ms) {
        return rule(format!(
            "lease.ttl_ms is {}, but it has to be between {} and {}",
            config.lease.ttl_ms,
            LEASE_TTL_MS.start(),
            LEASE_TTL_MS.end()
        ));
    }
    if !(1..=POOL_MAX).contains(&config.database.pool_max) {
        return rule(format!(
            "database.pool_max is {}, but it has to be between 1 and {POOL_MAX}",
            config.database.pool_max
        ));
    }
    let url = config.database.url.reveal();
    if !(url.is_empty() || url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return rule("database.url has to begin with postgres://, or be empty for the embedded database".to_owned());
    }
    let url = config.redis.url.reveal();
    if !(url.is_empty() || url.starts_with("redis://") || url.starts_with("unix://")) {
        return rule("redis.url has to begin with redis:// or unix://".to_owned());
    }
    config.metrics_address()?;
    Ok(())
}

fn check_registration(config: &Config) -> Result<(), ConfigError> {
    let registration = &config.registration;
    if registration.open && !config.listen.address.ip().is_loopback() && !registration.allow_open_without_verification {
        return rule(format!(
            "registration.open lets anybody who reaches {} make accounts, and nothing verifies them: set registration.open = false, or set \
             registration.allow_open_without_verification = true if that is what you want",
            config.listen.address
        ));
    }
    Ok(())
}

fn check_internal(config: &Config, topology: Topology) -> Result<(), ConfigError> {
    let internal = &config.internal;
    let addresses = [
        ("internal.address", internal.address),
        ("internal.grpc_address", internal.grpc_address),
    ];
    for (key, address) in addresses {
        if !address.ip().is_loopback() && internal.secret.is_empty() {
            return rule(format!(
                "{key} = {address} can be reached from outside, which needs a secret: set internal.secret_file or PLEXUS_INTERNAL__SECRET"
            ));
        }
    }
    if topology == Topology::Split && internal.address.ip().is_unspecified() && internal.advertise_host.is_empty() {
        return rule(format!(
            "internal.address = {} listens everywhere: say in internal.advertise_host by which name the other processes reach this one",
            internal.address
        ));
    }
    Ok(())
}

/// What several processes need to have in common.
fn check_split(config: &Config) -> Result<(), ConfigError> {
    if config.database.url.is_empty() {
        return rule(
            "the embedded database is for one process: set database.url to a PostgreSQL server, or leave out --role to run every role here".to_owned(),
        );
    }
    if config.redis.url.is_empty() {
        return rule("several processes need redis.url to tell each other news quickly".to_owned());
    }
    if config.internal.secret.is_empty() {
        return rule(
            "several processes need one secret to trust each other: set internal.secret_file or PLEXUS_INTERNAL__SECRET, the same for all".to_owned(),
        );
    }
    if config.registration.shared_secret.is_empty() && config.registration.shared_secret_file != PathBuf::new() {
        return rule("registration.shared_secret_file is empty".to_owned());
    }
    Ok(())
}

fn rule(sentence: String) -> Result<(), ConfigError> {
    Err(ConfigError::Rule(sentence))
}
