//! A load generator for Matrix homeservers. It speaks only the client API, makes its own users, and prints one JSON line
//! per scenario: throughput, latencies, errors, and what the server's processes used meanwhile.
//!
//! It runs on one thread, because it shares the machine with the server it measures; its own CPU time is in each line.

mod calls;
mod disk;
mod http;
mod process;
mod report;
mod scenario;
mod sync;
mod workers;
mod world;

use std::{process::ExitCode, rc::Rc};

use clap::{Parser, ValueEnum};

use crate::{
    http::{LoadError, Target},
    scenario::Scenario,
    world::{Settings, World},
};

/// More users than this in one run would measure this program.
const MAX_USERS: u64 = 1000;
const MAX_ROOMS: u64 = 200;
/// Rooms larger than this take longer to make than to measure.
const MAX_CROWD: u64 = 100_000;

#[derive(Debug, Parser)]
#[command(about = "Measures a Matrix homeserver through its client API; one JSON line per scenario")]
struct Arguments {
    /// The server, as http://host:port
    #[arg(long)]
    url: String,
    /// Where /sync goes, if elsewhere
    #[arg(long)]
    sync_url: Option<String>,
    /// Another server that federates with the first, for the scenarios between servers
    #[arg(long)]
    peer_url: Option<String>,
    /// A server process; it and its children are counted (repeat for several)
    #[arg(long = "pid")]
    pids: Vec<u32>,
    /// A folder of the server whose growth is measured (repeat for several)
    #[arg(long)]
    disk: Vec<String>,
    /// Which scenarios, separated by commas: their names, or all
    #[arg(long, default_value = "all")]
    scenario: String,
    /// Concurrent users
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=MAX_USERS))]
    users: u64,
    /// Rooms of `send_many_rooms` and `incremental_sync`
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=MAX_ROOMS))]
    rooms: u64,
    /// Members of the room of the fan-out, members and state scenarios
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(2..=MAX_USERS))]
    members: u64,
    /// Members of the room of `federation_join`
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(2..=MAX_CROWD))]
    crowd: u64,
    /// How long one scenario is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Secret of the admin registration, used where registration is closed
    #[arg(long)]
    shared_secret: Option<String>,
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(&Arguments::parse())),
        Err(error) => Err(format!("cannot start: {error}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), String> {
    let scenarios = chosen(&arguments.scenario)?;
    let target = |url: &str| url.parse::<Target>().map_err(|error: LoadError| error.to_string());
    if !process::all_alive(&arguments.pids) {
        return Err("one of the processes to measure is not alive".to_owned());
    }
    let size = |number| usize::try_from(number).map_err(|_| "a number is too large for this machine".to_owned());
    let settings = Settings {
        users: size(arguments.users)?,
        rooms: size(arguments.rooms)?,
        members: size(arguments.members)?,
        crowd: size(arguments.crowd)?,
        seconds: f64::from(arguments.seconds),
        pids: arguments.pids.clone(),
        disk: arguments.disk.clone(),
        shared_secret: arguments.shared_secret.clone(),
    };
    let sync_url = arguments.sync_url.as_ref().unwrap_or(&arguments.url);
    let mut world = World::new(settings, target(&arguments.url)?, target(sync_url)?);
    world.peer = arguments.peer_url.as_deref().map(target).transpose()?.map(Rc::new);
    for scenario in scenarios {
        eprintln!("scenario {scenario:?}");
        let line = scenario::run(scenario, &mut world)
            .await
            .map_err(|error| format!("{scenario:?}: {error}"))?;
        println!("{}", serde_json::to_string(&line).map_err(|error| error.to_string())?);
    }
    Ok(())
}

fn chosen(names: &str) -> Result<Vec<Scenario>, String> {
    if names == "all" {
        let all = Scenario::value_variants().iter().copied();
        return Ok(all.filter(|scenario| !scenario.needs_peer()).collect());
    }
    names
        .split(',')
        .map(|name| Scenario::from_str(name.trim(), false).map_err(|_| unknown(name)))
        .collect()
}

fn unknown(name: &str) -> String {
    let known = Scenario::value_variants()
        .iter()
        .filter_map(ValueEnum::to_possible_value);
    let known: Vec<String> = known.map(|value| value.get_name().to_owned()).collect();
    format!("no scenario is called {name:?}; there are {}", known.join(", "))
}
