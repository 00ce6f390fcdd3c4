//! `plexus register-user`.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Read as _},
    path::Path,
    process::Command,
};

use plexus_runtime::{
    NewUser,
    config::{Config, Topology},
    register_user, tokio_runtime,
};

use super::Outcome;
use crate::{cli::RegisterUser, roles};

/// Longest password file or line.
const PASSWORD_BYTES_MAX: u64 = 4096;

pub(super) fn run(arguments: RegisterUser) -> Outcome {
    let RegisterUser {
        configured,
        name,
        admin,
        password_file,
    } = arguments;
    let config = Config::load(&configured.sources(), Topology::One)?;
    let password = match password_file {
        Some(path) => read_file(&path).map_err(|error| format!("{}: {error}", path.display()))?,
        None => read_terminal(&name)?,
    };
    if password.is_empty() {
        return Err("the password is empty".into());
    }
    let user = NewUser { name, password, admin };
    let registering = register_user(&config, roles::parse("master")?, user);
    let user_id = tokio_runtime()?.block_on(Box::pin(registering))?;
    println!(
        "{user_id} {}",
        if admin { "is an administrator" } else { "has an account" }
    );
    Ok(())
}

fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(PASSWORD_BYTES_MAX)
        .read_to_string(&mut text)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Reads one line; from a terminal without showing it, if the terminal can be told so.
fn read_terminal(name: &str) -> io::Result<String> {
    let asks = io::stdin().is_terminal();
    if asks {
        eprint!("Password of {name}: ");
        set_echo(false);
    }
    let mut line = String::new();
    let read = io::stdin().lock().take(PASSWORD_BYTES_MAX).read_line(&mut line);
    if asks {
        set_echo(true);
        eprintln!();
    }
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Where there is no `stty`, the password is seen while it is typed.
fn set_echo(on: bool) {
    let _seen_at_worst = Command::new("stty").arg(if on { "echo" } else { "-echo" }).status();
}
