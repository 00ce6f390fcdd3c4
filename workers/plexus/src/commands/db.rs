//! `plexus db migrate`, `plexus db restored` and `plexus db rebuild-user-directory`.

use plexus_runtime::{
    config::{Config, Topology},
    migrate_database, new_generation, rebuild_user_directory, tokio_runtime,
};

use super::Outcome;
use crate::cli::Db;

pub(super) fn run(command: Db) -> Outcome {
    match command {
        Db::Migrate(configured) => migrate(&Config::load(&configured.sources(), Topology::One)?),
        Db::Restored(configured) => restored(&Config::load(&configured.sources(), Topology::One)?),
        Db::RebuildUserDirectory(configured) => rebuild(&Config::load(&configured.sources(), Topology::One)?),
    }
}

fn restored(config: &Config) -> Outcome {
    tokio_runtime()?.block_on(new_generation(config))?;
    println!("every client begins its sync anew; restart the processes that run");
    Ok(())
}

fn rebuild(config: &Config) -> Outcome {
    tokio_runtime()?.block_on(rebuild_user_directory(config))?;
    println!("the user directory is empty; the server makes it anew while it runs");
    Ok(())
}

fn migrate(config: &Config) -> Outcome {
    let migrated = tokio_runtime()?.block_on(migrate_database(config))?;
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
