//! Whole servers: one process on SQLite, or many on PostgreSQL.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use plexus_testkit::{Cluster as Postgres, ClusterOptions};
use serde_json::Value;

use crate::{
    PATIENCE, authority,
    binary::{plexus, run_plexus},
    eventually,
    http::{Http, Waits},
    nginx,
    ports::free_port,
    process::{Process, tail},
    programs::{INTERNAL_SECRET, MemberPorts, REGISTRATION_SECRET, member_program, nginx_program, redis_program},
    redis_proxy::RedisProxy,
    replicas::Replicas,
    watchdog::Watchdog,
    worker::Worker,
};

/// The two ways to run a server. Every scenario holds on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// `plexus serve`: every role in one process, on SQLite.
    AllInOne,
    /// A master and its standby, two client-readers, two syncs, a media process and a federation-sender, on PostgreSQL and Redis, behind nginx.
    Split,
}

/// A running server. It ends when it is dropped, or with the test process.
#[derive(Debug)]
pub struct Cluster {
    /// How it is made up.
    pub topology: Topology,
    site: Site,
    /// Where clients connect: nginx, or the process.
    url: String,
    /// A proxy that sends each request where it does not belong.
    wrong_url: Option<String>,
    members: Vec<Member>,
    /// How far they are, if there are many.
    replicas: Option<Replicas>,
    /// Redis and nginx.
    helpers: Vec<Process>,
    redis: Option<RedisProxy>,
    postgres: Option<Postgres>,
    folder: PathBuf,
    // Last: it ends what is left, and removes the folder.
    watchdog: Arc<Watchdog>,
}

/// One Plexus process, and where it listens.
#[derive(Debug)]
struct Member {
    process: Process,
    ports: MemberPorts,
}

impl Member {
    fn internal(&self) -> Http {
        Http::new(&format!("http://127.0.0.1:{}", self.ports.internal))
    }
}

/// Who a server is to other servers.
#[derive(Clone, Debug)]
struct Site {
    name: String,
    /// Where other servers connect, if there are any.
    tls_port: Option<u16>,
}

impl Site {
    /// A server without others.
    fn alone() -> Self {
        Self {
            name: "localhost".to_owned(),
            tls_port: None,
        }
    }

    /// A server that others find by its name and believe by its certificate, which is put into the folder.
    fn among_others(folder: &Path) -> Self {
        let tls_port = free_port();
        authority().write(folder);
        authority().issue(&["localhost"]).write(folder);
        Self {
            name: format!("localhost:{tls_port}"),
            tls_port: Some(tls_port),
        }
    }

    fn configuration(&self) -> String {
        let trusted = if self.tls_port.is_some() { "\"ca.pem\"" } else { "" };
        // Push gateways and other servers of the tests are on this machine.
        format!(
            "server_name = \"{}\"\ndata_dir = \"data\"\nsigning_key_file = \"signing.key\"\n[lease]\nttl_ms = 2000\n\
             [registration]\nguests = true\n[outbound]\nallowed_ranges = \"127.0.0.0/8\"\n\
             [federation]\ntrusted_key_servers = []\ncustom_ca_list = [{trusted}]\n\
             identity_servers = [\"127.0.0.1:*\"]\n",
            self.name
        )
    }
}

impl Cluster {
    /// Starts a server and waits until every process is ready.
    pub async fn start(topology: Topology) -> Self {
        Self::start_at(topology, |_| Site::alone()).await
    }

    /// The same, for a server that other servers talk to by TLS; its certificate is by [`authority`].
    pub async fn start_federated(topology: Topology) -> Self {
        Self::start_at(topology, Site::among_others).await
    }

    async fn start_at(topology: Topology, site: impl FnOnce(&Path) -> Site) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("plexus-cluster-")
            .tempdir()
            .expect("a temporary folder can be made")
            .keep();
        let watchdog = Arc::new(Watchdog::start(&folder));
        let building = tokio::task::spawn_blocking(plexus);
        building.await.expect("plexus builds");
        let cluster = match topology {
            Topology::AllInOne => Self::start_one(site(&folder), folder, watchdog),
            Topology::Split => Self::start_split(site(&folder), folder, watchdog).await,
        };
        cluster.until_ready().await;
        cluster
    }

    fn start_one(site: Site, folder: PathBuf, watchdog: Arc<Watchdog>) -> Self {
        let mut configuration = site.configuration();
        if let Some(port) = site.tls_port {
            let port = port.to_string();
            configuration.extend([
                "[listen]\ntls_address = \"127.0.0.1:",
                &*port,
                "\"\ntls_certificate_file = \"cert.pem\"\ntls_key_file = \"key.pem\"\n",
            ]);
        }
        fs::write(folder.join("plexus.toml"), configuration).expect("the folder can be written to");
        let ports = MemberPorts::choose();
        let program = member_program(&folder, "plexus", &[], ports);
        let process = Process::start(program, Arc::clone(&watchdog));
        Self {
            topology: Topology::AllInOne,
            site,
            url: format!("http://127.0.0.1:{}", ports.public),
            wrong_url: None,
            members: vec![Member { process, ports }],
            replicas: None,
            helpers: Vec::new(),
            redis: None,
            postgres: None,
            folder,
            watchdog,
        }
    }

    async fn start_split(site: Site, folder: PathBuf, watchdog: Arc<Watchdog>) -> Self {
        let starting = tokio::task::spawn_blocking(|| Postgres::start(ClusterOptions::default()));
        let postgres = starting.await.expect("PostgreSQL starts, or says above why not");
        let redis_port = free_port();
        let socket = folder.join("redis.sock");
        let redis = Process::start(redis_program(&folder, &socket), Arc::clone(&watchdog));
        let proxy = RedisProxy::start(redis_port, socket).await;
        let configuration = format!(
            "{}[database]\nurl = \"{}\"\n[redis]\nurl = \"redis://127.0.0.1:{redis_port}\"\n",
            site.configuration(),
            postgres.url("postgres"),
        );
        fs::write(folder.join("plexus.toml"), configuration).expect("the folder can be written to");
        prepare_data(&folder).await;
        let start = |name: &str, role: &str| {
            let ports = MemberPorts::choose();
            let program = member_program(&folder, name, &["--role", role, "--name", name], ports);
            Member {
                process: Process::start(program, Arc::clone(&watchdog)),
                ports,
            }
        };
        let members = vec![
            start("master1", "master"),
            start("master2", "master"),
            start("reader1", "client-reader"),
            start("reader2", "client-reader"),
            start("sync1", "sync"),
            start("sync2", "sync"),
            start("media1", "media"),
            start("sender1", "federation-sender"),
        ];
        let nginx_ports = nginx::Ports {
            right: free_port(),
            wrong: free_port(),
            tls: site.tls_port,
        };
        let printed = run_plexus(&folder, &["routes", "--format", "nginx"]);
        let map = String::from_utf8(printed.stdout).expect("the map is text");
        let public = |at: &[usize]| at.iter().map(|at| members[*at].ports.public).collect::<Vec<_>>();
        let configuration = nginx::configure(
            &folder,
            &map,
            &nginx_ports,
            &nginx::Members {
                readers: public(&[2, 3]),
                syncs: public(&[4, 5]),
                media: public(&[6]),
            },
        );
        let nginx = Process::start(nginx_program(&folder, &configuration), Arc::clone(&watchdog));
        Self {
            topology: Topology::Split,
            site,
            url: format!("http://127.0.0.1:{}", nginx_ports.right),
            wrong_url: Some(format!("http://127.0.0.1:{}", nginx_ports.wrong)),
            replicas: Some(Replicas::new(members.iter().map(Member::internal).collect())),
            members,
            helpers: vec![redis, nginx],
            redis: Some(proxy),
            postgres: Some(postgres),
            folder,
            watchdog,
        }
    }

    /// The name of the server.
    pub fn server_name(&self) -> &str {
        &self.site.name
    }

    /// Where clients connect.
    pub fn http(&self) -> Http {
        self.among(&self.url, Waits::Yes)
    }

    /// A way in that sends every request to a process that does not serve it. One process serves everything.
    pub fn wrong_http(&self) -> Http {
        self.among(self.wrong_url.as_ref().unwrap_or(&self.url), Waits::Yes)
    }

    /// The names of all Plexus processes.
    pub fn names(&self) -> Vec<&str> {
        self.members.iter().map(|member| member.process.name()).collect()
    }

    /// One of the Plexus processes, or `redis` or `nginx`.
    pub fn process(&self, name: &str) -> &Process {
        let mut all = self.members.iter().map(|member| &member.process).chain(&self.helpers);
        all.find(|process| process.name() == name)
            .unwrap_or_else(|| panic!("there is no process {name}"))
    }

    /// One Plexus process, without a proxy in front.
    pub fn direct(&self, name: &str) -> Http {
        self.among(
            &format!("http://127.0.0.1:{}", self.member(name).ports.public),
            Waits::No,
        )
    }

    fn among(&self, url: &str, waits: Waits) -> Http {
        let http = Http::new(url);
        match &self.replicas {
            Some(replicas) => http.among(replicas.clone(), waits),
            None => http,
        }
    }

    /// Its internal listener: `/ready`, `/health`, `/metrics`.
    pub fn internal(&self, name: &str) -> Http {
        self.member(name).internal()
    }

    /// What a worker is to its masters.
    pub fn worker(&self) -> Worker {
        let masters = self
            .members
            .iter()
            .filter(|member| member.process.name().starts_with("master"));
        Worker::new(
            masters.map(|member| member.ports.grpc),
            INTERNAL_SECRET,
            self.replicas.clone(),
        )
    }

    /// One more process with a role. It ends when it is dropped.
    pub fn start_more(&self, name: &str, role: &str) -> Process {
        let arguments = ["--role", role, "--name", name];
        let program = member_program(&self.folder, name, &arguments, MemberPorts::choose());
        Process::start(program, Arc::clone(&self.watchdog))
    }

    /// The address of its database, if that is a server.
    pub fn database_url(&self) -> Option<String> {
        self.postgres.as_ref().map(|postgres| postgres.url("postgres"))
    }

    /// What stands between the processes and Redis, if there is one.
    pub fn redis(&self) -> Option<&RedisProxy> {
        self.redis.as_ref()
    }

    /// The secret of `/_synapse/admin/v1/register`.
    pub fn registration_secret(&self) -> &'static str {
        REGISTRATION_SECRET
    }

    /// The secret that processes show each other.
    pub fn internal_secret(&self) -> &'static str {
        INTERNAL_SECRET
    }

    /// Waits until every process says that it is ready, and one of them leads.
    pub async fn until_ready(&self) {
        for name in self.names() {
            self.until_process_ready(name).await;
        }
        self.leader().await;
        if self.topology == Topology::Split {
            for name in ["reader1", "reader2"] {
                self.until_forwarded(name, "/_matrix/client/v3/sync").await;
            }
            for name in ["reader1", "reader2", "sync1", "sync2"] {
                self.until_forwarded(name, "/_matrix/media/v3/config").await;
            }
            for name in ["sync1", "sync2", "media1"] {
                self.until_forwarded(name, "/_matrix/client/v3/login").await;
            }
        }
    }

    /// Waits until a process has learnt from the registry who serves what it does not.
    async fn until_forwarded(&self, name: &str, target: &str) {
        let http = self.direct(name);
        eventually(PATIENCE, &format!("{name} to know the others"), async || {
            let answer = http.get(target).await;
            if answer.is_retryable() {
                Err(answer.text())
            } else {
                Ok(())
            }
        })
        .await;
    }

    /// Waits until a process says that it is ready.
    pub async fn until_process_ready(&self, name: &str) {
        let http = self.internal(name);
        eventually(PATIENCE, &format!("{name} to be ready"), async || {
            let member = self.member(name);
            if let Some(status) = member.process.exited() {
                panic!("{name} ended ({status}):\n{}", member.process.tail());
            }
            match http.try_send(http::Method::GET, "/ready", "").await {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(answer.text()),
                Err(error) => Err(error.0),
            }
        })
        .await;
    }

    /// Kills a process and starts it again.
    pub async fn restart(&self, name: &str) {
        let process = self.process(name);
        process.kill();
        process.start_again();
        self.until_process_ready(name).await;
    }

    /// The name of the process that leads now.
    pub async fn leader(&self) -> String {
        eventually(PATIENCE, "a process to lead", async || {
            for name in self.names() {
                let answer = self.internal(name).try_send(http::Method::GET, "/ready", "").await;
                let leads = answer.is_ok_and(|answer| {
                    serde_json::from_slice::<Value>(&answer.body).is_ok_and(|body| body["leading"] == true)
                });
                if leads {
                    return Ok(name.to_owned());
                }
            }
            Err("none does".to_owned())
        })
        .await
    }

    /// The ends of all logs, for a failed test.
    pub fn tails(&self) -> String {
        let processes = self.members.iter().map(|member| &member.process).chain(&self.helpers);
        let mut tails: Vec<(&str, String)> = processes.map(|process| (process.name(), process.tail())).collect();
        if let Some(postgres) = &self.postgres {
            tails.push(("postgres", tail(&postgres.folder().join("log"))));
        }
        let tails = tails.iter().map(|(name, tail)| format!("--- {name} ---\n{tail}"));
        tails.collect::<Vec<_>>().join("\n")
    }

    /// Where the server keeps its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn member(&self, name: &str) -> &Member {
        self.members
            .iter()
            .find(|member| member.process.name() == name)
            .unwrap_or_else(|| panic!("there is no Plexus process {name}"))
    }
}

/// Makes the signing key and the tables, as soon as PostgreSQL takes connections.
async fn prepare_data(folder: &Path) {
    let configured = ["--config", "plexus.toml"];
    let run = |arguments: &[&str]| {
        let output = run_plexus(folder, &[arguments, &configured].concat());
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    };
    run(&["generate-signing-key"]).expect("a signing key can be made");
    eventually(PATIENCE, "the tables to be made", async || run(&["db", "migrate"])).await;
}
