//! One process started by hand, as an operator does.

use std::{path::Path, sync::Arc};

use http::Method;

use crate::{
    binary::plexus,
    eventually::{PATIENCE, eventually},
    http::Http,
    process::{Process, Program},
    watchdog::Watchdog,
};

/// A process in a folder of the test's own.
#[derive(Debug)]
pub struct Solo {
    process: Process,
}

impl Solo {
    /// Runs `plexus` with these arguments in that folder, until it is dropped.
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        let program = Program {
            name: "solo".to_owned(),
            path: plexus().to_owned(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            environment: Vec::new(),
            folder: folder.to_owned(),
        };
        Self {
            process: Process::start(program, Arc::new(Watchdog::start(folder))),
        }
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Waits until it answers clients.
    pub async fn until_answers(&self, http: &Http) {
        eventually(PATIENCE, "the server to answer", async || {
            if let Some(status) = self.process.exited() {
                panic!("it ended ({status}):\n{}", self.process.output());
            }
            match http.try_send(Method::GET, "/_matrix/client/versions", "").await {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(answer.text()),
                Err(error) => Err(error.0),
            }
        })
        .await;
    }
}
