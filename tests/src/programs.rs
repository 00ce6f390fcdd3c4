//! How the processes of a cluster are started.

use std::path::Path;

use crate::{binary::plexus, ports::free_port, process::Program};

/// What processes show each other.
pub(crate) const INTERNAL_SECRET: &str = "internal-secret-of-the-tests-long-enough";
/// The secret of `/_synapse/admin/v1/register`.
pub(crate) const REGISTRATION_SECRET: &str = "registration-secret-of-the-tests";

/// Where a process listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemberPorts {
    pub(crate) public: u16,
    pub(crate) internal: u16,
    pub(crate) grpc: u16,
}

impl MemberPorts {
    pub(crate) fn choose() -> Self {
        Self {
            public: free_port(),
            internal: free_port(),
            grpc: free_port(),
        }
    }
}

/// One Plexus process.
pub(crate) fn member_program(folder: &Path, name: &str, roles: &[&str], ports: MemberPorts) -> Program {
    let mut arguments = vec!["serve", "--config", "plexus.toml"];
    arguments.extend(roles);
    let addresses = [
        format!("listen.address=127.0.0.1:{}", ports.public),
        format!("internal.address=127.0.0.1:{}", ports.internal),
        format!("internal.grpc_address=127.0.0.1:{}", ports.grpc),
    ];
    for address in &addresses {
        arguments.extend(["--set", address]);
    }
    let environment = [
        ("PLEXUS_INTERNAL__SECRET", INTERNAL_SECRET),
        ("PLEXUS_REGISTRATION__SHARED_SECRET", REGISTRATION_SECRET),
    ];
    Program {
        name: name.to_owned(),
        path: plexus().to_owned(),
        arguments: arguments.into_iter().map(str::to_owned).collect(),
        environment: environment
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        folder: folder.to_owned(),
    }
}

/// Redis on a Unix socket, keeping nothing.
pub(crate) fn redis_program(folder: &Path, socket: &Path) -> Program {
    let socket = socket.to_str().expect("the path is text");
    let arguments = [
        "--port",
        "0",
        "--unixsocket",
        socket,
        "--save",
        "",
        "--appendonly",
        "no",
    ];
    helper_program(folder, "redis", "redis-server", &arguments)
}

/// nginx with a configuration of ours.
pub(crate) fn nginx_program(folder: &Path, configuration: &Path) -> Program {
    let configuration = configuration.to_str().expect("the path is text");
    helper_program(folder, "nginx", "nginx", &["-c", configuration])
}

pub(crate) fn helper_program(folder: &Path, name: &str, executable: &str, arguments: &[&str]) -> Program {
    let found = [
        "/usr/bin",
        "/usr/sbin",
        "/usr/local/bin",
        "/usr/local/sbin",
        "/opt/homebrew/bin",
    ]
    .map(|folder| Path::new(folder).join(executable))
    .into_iter()
    .find(|path| path.exists());
    let path = found.unwrap_or_else(|| panic!("{executable} is not installed: run tests/setup"));
    Program {
        name: name.to_owned(),
        path,
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        environment: Vec::new(),
        folder: folder.to_owned(),
    }
}
