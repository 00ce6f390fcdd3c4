//! `plexus generate-signing-key`: what several processes need before their first start; one process makes its own.

use plexus_runtime::{
    config::{Config, Topology},
    keys,
};

use super::Outcome;
use crate::cli::Configured;

pub(super) fn run(configured: Configured) -> Outcome {
    let config = Config::load(&configured.sources(), Topology::One)?;
    let path = config.signing_key_path();
    let key = keys::generate(&path)?;
    println!("{} written to {}", key.key_id(), path.display());
    Ok(())
}
