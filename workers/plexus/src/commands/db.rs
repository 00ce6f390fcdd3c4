//! `plexus db migrate`.

use plexus_runtime::{
    config::{Config, Topology},
    migrate_database, tokio_runtime,
};

use super::Outcome;
use crate::cli::Db;

pub(super) fn run(command: Db) -> Outcome {
    let Db::Migrate(configured) = command;
    let config = Config::load(&configured.sources(), Topology::One)?;
    let migrated = tokio_runtime()?.block_on(migrate_database(&config))?;
    if migrated.from == migrated.to {
        println!("the database already has schema {}", migrated.to);
    } else {
        println!(
            "the database went from schema {} to schema {}",
            migrated.from, migrated.to
        );
    }
    Ok(())
}
