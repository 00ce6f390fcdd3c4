//! `plexus serve`.

use plexus_runtime::{
    Start,
    config::{Config, Topology},
};

use super::Outcome;
use crate::{cli::Serve, roles::ROLES};

/// What a process that is the whole server is called.
const ALONE: &str = "plexus";

pub(super) fn run(arguments: Serve) -> Outcome {
    let Serve {
        configured,
        role: mut roles,
        name,
    } = arguments;
    let topology = if roles.is_empty() {
        Topology::One
    } else {
        Topology::Split
    };
    let config = Config::load(&configured.sources(), topology)?;
    let name = name.unwrap_or_else(|| roles.first().map_or(ALONE, |role| role.name).to_owned());
    if roles.is_empty() {
        roles = ROLES.to_vec();
    }
    plexus_runtime::run(&Start {
        config,
        topology,
        roles,
        known: ROLES,
        name,
    })?;
    Ok(())
}
