//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use plexus_runtime::config::Sources;

/// A Matrix homeserver made of worker processes.
#[derive(Debug, Parser)]
#[command(name = "plexus", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the server: every role in this process, or those named by --role.
    Serve(Serve),
    /// Works on the database.
    #[command(subcommand)]
    Db(Db),
    /// Works on rooms.
    #[command(subcommand)]
    Room(Room),
    /// Makes an account, whether the server is running or not.
    RegisterUser(RegisterUser),
    /// Makes the key the server signs events with, where there is none yet.
    GenerateSigningKey(Configured),
    /// Makes a new signing key. The one in use is published as an old one from the next start on, so that what it signed stays good.
    RotateSigningKey(Configured),
    /// Looks at federation with other servers.
    #[command(subcommand)]
    Federation(Federation),
    /// Shows and checks configurations.
    #[command(subcommand)]
    Config(Config),
    /// Prints every endpoint, for people, for nginx or for programs.
    Routes {
        /// How.
        #[arg(long, value_enum, default_value_t = RoutesFormat::Table)]
        format: RoutesFormat,
    },
    /// Prints every error a client can get, and when.
    Errors,
}

/// Where the configuration comes from. Later ones win: the file, the environment (`PLEXUS_SECTION__KEY`), --set.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Configured {
    /// The configuration file; without one, every key has its default.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one key of the configuration.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

impl Configured {
    /// With the environment, which is read here and nowhere else.
    pub(crate) fn sources(self) -> Sources {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Sources {
            file: self.config,
            environment,
            set: self.set,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) configured: Configured,
    /// A role of this process; several are allowed. Without any, the process runs all of them and is the whole server.
    #[arg(long, value_name = "ROLE", value_parser = crate::roles::parse)]
    pub(crate) role: Vec<plexus_runtime::Role>,
    /// The name of this process among those of the deployment. Default: the role, which fits one process of each.
    #[arg(long, value_name = "NAME", value_parser = process_name)]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Db {
    /// Brings the database's tables to the form this version needs.
    Migrate(Configured),
    /// Says that the database was restored from a backup, or copied: clients forget what they were told by the other one and begin their sync anew.
    Restored(Configured),
    /// Empties the user directory. A server makes it anew from all that is there, in the background; until then people are found as far as it has come.
    RebuildUserDirectory(Configured),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Room {
    /// Works out anew what follows from a room's events (states, what the rules make of each event, members, counts) and prints every disagreement with
    /// what is stored. The server may run meanwhile, unless its database is the embedded one.
    Verify {
        #[command(flatten)]
        configured: Configured,
        /// The room's id.
        room: String,
        /// Writes what is right. No master may run.
        #[arg(long)]
        rebuild: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RegisterUser {
    #[command(flatten)]
    pub(crate) configured: Configured,
    /// The part of the user id between @ and the colon.
    pub(crate) name: String,
    /// Makes the account an administrator.
    #[arg(long)]
    pub(crate) admin: bool,
    /// A file with the password. Without it, the password is the first line of standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Federation {
    /// Says what another server would see of a server, and what is wrong.
    Check {
        #[command(flatten)]
        configured: Configured,
        /// The server's name. Without one: the configuration's `server_name`.
        server: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Says whether the configuration is right, and if not, which key is wrong, where, and what is allowed.
    Check {
        #[command(flatten)]
        configured: Configured,
        /// Checks it for several processes.
        #[arg(long)]
        split: bool,
    },
    /// Prints every key with its meaning and its default.
    Example,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoutesFormat {
    /// One line for each path.
    Table,
    /// A map for nginx.
    Nginx,
    /// One JSON array.
    Json,
}

/// Longest name of a process.
const PROCESS_NAME_MAX_BYTES: usize = 64;

fn process_name(name: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=PROCESS_NAME_MAX_BYTES).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "a name is 1 to {PROCESS_NAME_MAX_BYTES} letters, digits, '-', '_' and '.'"
    ))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn roles_and_names_are_checked() {
        let parse =
            |arguments: &[&str]| Cli::try_parse_from(std::iter::once("plexus").chain(arguments.iter().copied()));
        parse(&["serve", "--role", "sync", "--role", "client-reader", "--name", "sync1"]).expect("valid");
        let error = parse(&["serve", "--role", "synch"])
            .expect_err("no such role")
            .to_string();
        assert!(error.contains("client-reader") && error.contains("synch"), "{error}");
        parse(&["serve", "--name", "a b"]).expect_err("no such name");
        parse(&["serve", "--name", ""]).expect_err("no name");
    }
}
