//! `plexus federation check`: what another server would see.

use plexus_federation::check::Finding;
use plexus_runtime::{
    check_federation,
    config::{Config, Topology},
    tokio_runtime,
};
use ruma::OwnedServerName;

use super::Outcome;
use crate::cli::{Configured, Federation};

pub(super) fn run(command: Federation) -> Outcome {
    match command {
        Federation::Check { configured, server } => check(configured, server),
    }
}

fn check(configured: Configured, server: Option<String>) -> Outcome {
    let config = Config::load(&configured.sources(), Topology::One)?;
    let server = server.map(OwnedServerName::try_from).transpose();
    let server = server.map_err(|_| "a server name is a host, or a host and a port")?;
    let findings = tokio_runtime()?.block_on(check_federation(&config, server.as_deref()))?;
    let mut wrong = 0;
    for finding in findings {
        match finding {
            Finding::Good(text) => println!("good   {text}"),
            Finding::Note(text) => println!("       {text}"),
            Finding::Wrong(text) => {
                wrong += 1;
                println!("WRONG  {text}");
            }
        }
    }
    match wrong {
        0 => Ok(()),
        1 => Err("one thing is wrong".into()),
        _ => Err(format!("{wrong} things are wrong").into()),
    }
}
