//! How a process runs: configuration, logs, metrics, keys, the registry of processes, start and stop.
//!
//! [`run()`] is the whole life of a process: it opens the database, joins the log, starts the master if one of its roles has it, listens, and ends in
//! order. It does not know which roles there are; `workers/plexus` hands them in.

mod accounts;
pub mod config;
mod data;
mod error;
mod federation;
pub mod keys;
mod leader;
mod lifecycle;
mod listeners;
mod metrics;
mod node;
mod pages;
mod private_file;
mod register;
mod registry;
mod role;
mod run;
mod secrets;
pub mod telemetry;
mod tls;

pub use self::{
    data::{Rotated, migrate_database, new_generation, open_database, rebuild_user_directory, rotate_signing_key},
    error::RunError,
    federation::check_federation,
    register::{NewUser, RegisterError, register_user},
    role::{
        BackgroundParts, Leading, MasterParts, MasterRole, Role, Share, SlowestRooms, StartBackground, StartMaster,
        families,
    },
    run::{Start, run, tokio_runtime},
};
