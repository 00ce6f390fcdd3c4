//! `plexus generate-signing-key`: what several processes need before their first start; one process makes its own.

use std::path::PathBuf;

use plexus_runtime::{
    config::{Config, Topology},
    keys,
};

use super::Outcome;
use crate::cli::Configured;

pub(super) fn run(configured: Configured, output: Option<PathBuf>) -> Outcome {
    if output.as_ref().is_some_and(|path| path.as_os_str() == "-") {
        println!("{}", keys::new_line());
        return Ok(());
    }
    let path = match output {
        Some(path) => path,
        None => Config::load(&configured.sources(), Topology::One)?.signing_key_path(),
    };
    let key = keys::generate(&path)?;
    println!("{} written to {}", key.key_id(), path.display());
    Ok(())
}
