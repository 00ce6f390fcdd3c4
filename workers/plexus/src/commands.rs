//! What the commands of the command line do.

use std::error::Error;

use crate::cli::{Cli, Command};

mod config;
mod db;
mod errors;
mod federation;
mod generate_signing_key;
mod register_user;
mod room;
mod rotate_signing_key;
mod routes;
mod serve;

/// A command's end; an error is one line for the operator.
pub(crate) type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

pub(crate) fn run(cli: Cli) -> Outcome {
    match cli.command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Db(command) => db::run(command),
        Command::Room(command) => room::run(command),
        Command::RegisterUser(arguments) => register_user::run(arguments),
        Command::GenerateSigningKey(configured) => generate_signing_key::run(configured),
        Command::RotateSigningKey(configured) => rotate_signing_key::run(configured),
        Command::Federation(command) => federation::run(command),
        Command::Config(command) => config::run(command),
        Command::Routes { format } => routes::run(format),
        Command::Errors => errors::run(),
    }
}
