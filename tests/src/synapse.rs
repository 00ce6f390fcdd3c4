//! Synapse from `PyPI`, as the server on the other side.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use http::Method;
use tokio::sync::OnceCell;

use crate::{
    PATIENCE, authority,
    binary::repository,
    eventually,
    http::Http,
    ports::free_port,
    process::{Process, Program},
    watchdog::Watchdog,
};

/// A running Synapse: one process on SQLite, which trusts the authority of the tests. Anybody may register, and nothing is rate limited.
#[derive(Debug)]
pub struct Synapse {
    name: String,
    url: String,
    process: Process,
}

static SHARED: OnceCell<Synapse> = OnceCell::const_new();

/// Most lines of its log that are shown.
const COMPLAINTS_MAX: usize = 80;

impl Synapse {
    /// One for all scenarios that do it no harm.
    pub async fn shared() -> &'static Self {
        SHARED.get_or_init(Self::start).await
    }

    /// What the shared one has complained of lately, for a failed test.
    pub(crate) fn complaints() -> Option<String> {
        let output = SHARED.get()?.process.output();
        let lines: Vec<&str> = output.lines().filter(|line| !line.contains(" INFO ")).collect();
        let from = lines.len().saturating_sub(COMPLAINTS_MAX);
        Some(lines[from..].join("\n"))
    }

    /// Starts one and waits until it answers.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("plexus-synapse-")
            .tempdir()
            .expect("a temporary folder can be made")
            .keep();
        let watchdog = Arc::new(Watchdog::start(&folder));
        let (port, tls_port) = (free_port(), free_port());
        authority().write(&folder);
        authority().issue(&["localhost"]).write(&folder);
        let name = format!("localhost:{tls_port}");
        let written = configuration(&folder, &name, port, tls_port);
        fs::write(folder.join("homeserver.yaml"), written).expect("the folder can be written to");
        fs::write(folder.join("log.yaml"), LOG).expect("the folder can be written to");
        let python = tokio::task::spawn_blocking(installed).await.expect("it is installed");
        let program = Program {
            name: "synapse".to_owned(),
            path: python,
            arguments: ["-m", "synapse.app.homeserver", "-c", "homeserver.yaml"]
                .map(str::to_owned)
                .into(),
            environment: Vec::new(),
            folder,
        };
        let synapse = Self {
            name,
            url: format!("http://127.0.0.1:{port}"),
            process: Process::start(program, watchdog),
        };
        synapse.until_answers().await;
        synapse
    }

    /// The name of the server.
    pub fn server_name(&self) -> &str {
        &self.name
    }

    /// Where its clients connect.
    pub fn http(&self) -> Http {
        Http::new(&self.url)
    }

    /// The process: to be paused, killed, started again.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Waits until it answers clients.
    pub async fn until_answers(&self) {
        let http = self.http();
        eventually(2 * PATIENCE, "Synapse to answer", async || {
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

/// The Python of the environment that Synapse is in; it is made if need be.
fn installed() -> PathBuf {
    let setup = repository().join("tests/synapse/setup");
    let status = Command::new(setup)
        .status()
        .expect("tests/synapse/setup can be started");
    assert!(status.success(), "tests/synapse/setup failed");
    let cache = std::env::var_os("PLEXUS_TEST_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("there is a home")).join(".cache/plexus-tests"),
        PathBuf::from,
    );
    cache.join("synapse/bin/python")
}

const LOG: &str = "version: 1
formatters: {short: {format: '%(asctime)s %(levelname)s %(name)s %(request)s %(message)s'}}
handlers: {console: {class: logging.StreamHandler, formatter: short}}
root: {level: INFO, handlers: [console]}
";

fn configuration(folder: &Path, name: &str, port: u16, tls_port: u16) -> String {
    let folder = folder.display();
    let limit = "{per_second: 10000, burst_count: 10000}";
    format!(
        "server_name: '{name}'
report_stats: false
pid_file: {folder}/synapse.pid
log_config: {folder}/log.yaml
listeners:
  - {{port: {port}, bind_addresses: ['127.0.0.1'], type: http, resources: [{{names: [client]}}]}}
  - {{port: {tls_port}, bind_addresses: ['127.0.0.1'], type: http, tls: true, resources: [{{names: [federation]}}]}}
tls_certificate_path: {folder}/cert.pem
tls_private_key_path: {folder}/key.pem
federation_custom_ca_list: [{folder}/ca.pem]
database: {{name: sqlite3, args: {{database: {folder}/synapse.db}}}}
media_store_path: {folder}/media
signing_key_path: {folder}/signing.key
macaroon_secret_key: of the tests
form_secret: of the tests
registration_shared_secret: of the tests
enable_registration: true
enable_registration_without_verification: true
trusted_key_servers: []
suppress_key_server_warning: true
ip_range_blacklist: []
federation_ip_range_blacklist: []
allow_public_rooms_over_federation: true
allow_public_rooms_without_auth: true
user_directory: {{enabled: true, search_all_users: true}}
presence: {{enabled: true}}
federation: {{client_timeout: 10s, max_short_retries: 0, destination_min_retry_interval: 1s, destination_max_retry_interval: 2s}}
room_list_publication_rules: [{{action: allow}}]
caches: {{sync_response_cache_duration: 0s}}
rc_message: {limit}
rc_registration: {limit}
rc_joins: {{local: {limit}, remote: {limit}}}
rc_joins_per_room: {limit}
rc_room_creation: {limit}
rc_invites: {{per_room: {limit}, per_user: {limit}, per_issuer: {limit}}}
rc_login: {{address: {limit}, account: {limit}, failed_attempts: {limit}}}
rc_federation: {{window_size: 1000, sleep_limit: 100000, sleep_delay: 1, reject_limit: 100000, concurrent: 1000}}
"
    )
}
