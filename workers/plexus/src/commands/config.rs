//! `plexus config check` and `plexus config example`.

use plexus_runtime::config::{self, Topology};

use super::Outcome;
use crate::cli::Config;

pub(super) fn run(command: Config) -> Outcome {
    match command {
        Config::Check { configured, split } => {
            let topology = if split { Topology::Split } else { Topology::One };
            let config = config::Config::load(&configured.sources(), topology)?;
            println!("the configuration of {} is right", config.server_name);
        }
        Config::Example => print!("{}", config::example()),
    }
    Ok(())
}
