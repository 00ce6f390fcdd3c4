//! `plexus rotate-signing-key`: a new key, and the old one stays published.

use plexus_runtime::{
    config::{Config, Topology},
    rotate_signing_key, tokio_runtime,
};

use super::Outcome;
use crate::cli::Configured;

pub(super) fn run(configured: Configured) -> Outcome {
    let config = Config::load(&configured.sources(), Topology::One)?;
    let rotated = tokio_runtime()?.block_on(rotate_signing_key(&config))?;
    println!(
        "{} takes the place of {}, in {}; restart every process of the server, each with this file",
        rotated.new,
        rotated.old,
        config.signing_key_path().display()
    );
    Ok(())
}
