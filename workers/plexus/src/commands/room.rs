//! `plexus room verify`.

use plexus_master::{Verified, verify_room};
use plexus_runtime::{
    config::{Config, Topology},
    open_database, tokio_runtime,
};

use super::Outcome;
use crate::cli::Room;

pub(super) fn run(command: Room) -> Outcome {
    let Room::Verify {
        configured,
        room,
        rebuild,
    } = command;
    let config = Config::load(&configured.sources(), Topology::One)?;
    let verified = tokio_runtime()?.block_on(async {
        let db = open_database(&config).await?;
        let verified = verify_room(&db, &config.server_name, &room, rebuild).await?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(verified)
    })?;
    report(&verified);
    if verified.total == 0 || rebuild {
        return Ok(());
    }
    Err(format!("{} disagreements; --rebuild writes what is right", verified.total).into())
}

fn report(verified: &Verified) {
    for disagreement in &verified.disagreements {
        println!("{disagreement}");
    }
    let unlisted = verified.total - verified.disagreements.len();
    if unlisted > 0 {
        println!("and {unlisted} more");
    }
    println!(
        "{} events, {} disagreements, {} rows written",
        verified.events, verified.total, verified.written
    );
}
