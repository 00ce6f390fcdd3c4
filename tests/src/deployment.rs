//! What `docker-compose.yml` describes, started without Docker: the same programs with the same arguments, environment and files, each name and port
//! of a container put in place by one of this machine.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use plexus_testkit::{Cluster as Postgres, ClusterOptions};

use crate::{
    PATIENCE,
    binary::{plexus, repository},
    compose::{Compose, Service},
    eventually,
    http::{Http, Waits},
    nginx,
    ports::free_port,
    process::{Process, Program},
    programs::{MemberPorts, helper_program, nginx_program},
    replicas::Replicas,
    watchdog::Watchdog,
};

/// Where every Plexus container listens: for clients, for the others, for Commands.
const CONTAINER_PORTS: [u16; 3] = [8008, 8009, 8010];

/// The running deployment. It ends when it is dropped.
#[derive(Debug)]
pub struct Deployment {
    compose: Compose,
    ports: BTreeMap<String, MemberPorts>,
    processes: Vec<Process>,
    /// How far they are.
    replicas: Replicas,
    nginx_port: u16,
    redis_port: u16,
    postgres: Postgres,
    folder: PathBuf,
    // Last: it ends what is left, and removes the folder.
    watchdog: Arc<Watchdog>,
}

impl Deployment {
    /// Starts everything and waits until it answers.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("plexus-compose-").tempdir();
        let folder = folder.expect("a temporary folder can be made").keep();
        let watchdog = Arc::new(Watchdog::start(&folder));
        tokio::task::spawn_blocking(plexus).await.expect("plexus builds");
        let starting = tokio::task::spawn_blocking(|| Postgres::start(ClusterOptions::default()));
        let postgres = starting.await.expect("PostgreSQL starts, or says above why not");
        let compose = Compose::read(&variables());
        let ports = compose
            .plexus()
            .map(|(name, _)| (name.to_owned(), MemberPorts::choose()));
        let mut deployment = Self {
            ports: ports.collect(),
            compose,
            processes: Vec::new(),
            replicas: Replicas::new(Vec::new()),
            nginx_port: free_port(),
            redis_port: free_port(),
            postgres,
            folder,
            watchdog,
        };
        deployment.start_redis();
        deployment.prepare().await;
        deployment.start_members();
        let internal = deployment.members().map(|(name, _)| deployment.internal(name));
        deployment.replicas = Replicas::new(internal.collect());
        deployment.start_nginx();
        deployment.until_ready().await;
        deployment
    }

    /// Where clients connect: nginx.
    pub fn http(&self) -> Http {
        let front = Http::new(&format!("http://127.0.0.1:{}", self.nginx_port));
        front.among(self.replicas.clone(), Waits::Yes)
    }

    /// The services that keep running.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Service)> {
        self.compose
            .plexus()
            .filter(|(_, service)| service.option("--role").is_some())
    }

    /// What clients reach of one service, without nginx.
    pub fn direct(&self, name: &str) -> Http {
        Http::new(&format!("http://127.0.0.1:{}", self.ports[name].public))
    }

    /// The internal listener of one service.
    pub fn internal(&self, name: &str) -> Http {
        Http::new(&format!("http://127.0.0.1:{}", self.ports[name].internal))
    }

    /// Runs `plexus` inside a service, as `docker compose exec` does; what it printed comes back.
    pub fn exec(&self, name: &str, arguments: &[&str]) -> Result<String, String> {
        let service = self.compose.service(name);
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        self.run(&self.program(name, service, &arguments))
    }

    /// A folder for files of the test.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The ends of all logs, for a failed test.
    pub fn tails(&self) -> String {
        let tails = self
            .processes
            .iter()
            .map(|process| format!("--- {} ---\n{}", process.name(), process.tail()));
        tails.collect::<Vec<_>>().join("\n")
    }

    fn start_redis(&mut self) {
        let mut arguments = self.compose.service("redis").command.clone();
        assert_eq!(arguments.remove(0), "redis-server");
        arguments.extend(["--bind", "127.0.0.1", "--port"].map(str::to_owned));
        arguments.push(self.redis_port.to_string());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let program = helper_program(&self.folder, "redis", "redis-server", &arguments);
        self.processes.push(Process::start(program, Arc::clone(&self.watchdog)));
    }

    /// Runs what has to end before others start, as soon as the database takes connections.
    async fn prepare(&self) {
        let needed: Vec<String> = self
            .compose
            .plexus()
            .flat_map(|(_, service)| service.after.clone())
            .collect();
        for (name, service) in self.compose.plexus() {
            if needed.iter().any(|needed| needed == name) {
                let program = self.program(name, service, &service.command);
                eventually(PATIENCE, &format!("{name} to end well"), async || self.run(&program)).await;
            }
        }
    }

    fn start_members(&mut self) {
        let programs: Vec<Program> = self
            .members()
            .map(|(name, service)| self.program(name, service, &service.command))
            .collect();
        for program in programs {
            self.processes.push(Process::start(program, Arc::clone(&self.watchdog)));
        }
    }

    fn start_nginx(&mut self) {
        let service = self.compose.service("nginx");
        let mounted = |there: &str| {
            let here = service.volumes.iter().find(|(_, to)| to == there);
            let (here, _) = here.unwrap_or_else(|| panic!("nginx does not see {there}"));
            repository().join(here)
        };
        let map = "/etc/nginx/plexus/map.conf";
        let ours = fs::read_to_string(mounted("/etc/nginx/conf.d/default.conf")).expect("nginx has a configuration");
        let ours = self
            .translate(&ours)
            .replace(map, mounted(map).to_str().expect("the path is text"))
            .replace("listen 8008;", &format!("listen 127.0.0.1:{};", self.nginx_port));
        let path = nginx::write(&self.folder, &ours);
        let program = nginx_program(&self.folder, &path);
        self.processes.push(Process::start(program, Arc::clone(&self.watchdog)));
    }

    async fn until_ready(&self) {
        for (name, _) in self.members() {
            let process = self.processes.iter().find(|process| process.name() == name);
            let process = process.expect("every member was started");
            eventually(2 * PATIENCE, &format!("{name} to be ready"), async || {
                if let Some(status) = process.exited() {
                    panic!("{name} ended ({status}):\n{}", process.tail());
                }
                match self.internal(name).try_send(http::Method::GET, "/ready", "").await {
                    Ok(answer) if answer.status == 200 => Ok(()),
                    Ok(answer) => Err(answer.text()),
                    Err(error) => Err(error.0),
                }
            })
            .await;
        }
    }

    /// A service's program as it runs here.
    fn program(&self, name: &str, service: &Service, command: &[String]) -> Program {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).expect("the folder can be written to");
        let paths = self.paths(name, service);
        let place = |text: &str| {
            paths
                .iter()
                .fold(self.translate(text), |text, (there, here)| text.replace(there, here))
        };
        let ports = self.ports[name];
        let local = [ports.public, ports.internal, ports.grpc];
        for (here, there) in &service.volumes {
            let here = repository().join(here);
            if !here.is_file() {
                continue;
            }
            let text = fs::read_to_string(&here).expect("configurations are text");
            let listens = CONTAINER_PORTS.iter().zip(local);
            let text = listens.fold(place(&text), |text, (there, here)| {
                text.replace(&format!("\"0.0.0.0:{there}\""), &format!("\"127.0.0.1:{here}\""))
            });
            fs::write(place(there), text).expect("the folder can be written to");
        }
        let environment = service.environment.iter();
        Program {
            name: name.to_owned(),
            path: plexus().to_owned(),
            arguments: command.iter().map(|word| place(word)).collect(),
            environment: environment.map(|(key, value)| (key.clone(), place(value))).collect(),
            folder,
        }
    }

    /// Paths of a container and what they are here: the longest first, as a volume may lie in another one.
    fn paths(&self, name: &str, service: &Service) -> Vec<(String, String)> {
        let own = |path: &str| self.folder.join(name).join(path);
        let here = |path: PathBuf| path.to_str().expect("the path is text").to_owned();
        let mut paths: Vec<(String, String)> = service
            .volumes
            .iter()
            .map(|(from, to)| {
                let is_file = repository().join(from).is_file();
                let path = if is_file {
                    own("plexus.toml")
                } else {
                    self.folder.join(format!("volume-{from}"))
                };
                (to.clone(), here(path))
            })
            .collect();
        paths.push(("/var/lib/plexus".to_owned(), here(own("data"))));
        paths.sort_by_key(|(there, _)| std::cmp::Reverse(there.len()));
        paths.dedup_by(|later, earlier| later.0 == earlier.0);
        paths
    }

    /// Names and ports of containers, as they are here.
    fn translate(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, ports) in &self.ports {
            let local = [ports.public, ports.internal, ports.grpc];
            for (there, here) in CONTAINER_PORTS.iter().zip(local) {
                text = text.replace(&format!("{name}:{there}"), &format!("127.0.0.1:{here}"));
            }
            text = text.replace(&format!("advertise_host={name}"), "advertise_host=127.0.0.1");
        }
        if text.starts_with("postgres://") {
            assert_eq!(text, "postgres://plexus:of-postgres@postgres:5432/plexus");
            return self.postgres.url("postgres");
        }
        text.replace("redis:6379", &format!("127.0.0.1:{}", self.redis_port))
    }

    fn run(&self, program: &Program) -> Result<String, String> {
        let output = Command::new(&program.path)
            .args(&program.arguments)
            .envs(program.environment.iter().cloned())
            .current_dir(&self.folder)
            .output()
            .expect("plexus can be started");
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

/// What `.env` says.
fn variables() -> BTreeMap<&'static str, String> {
    let values = [
        ("PLEXUS_SERVER_NAME", "plexus.example"),
        ("PLEXUS_INTERNAL_SECRET", "of-the-processes-and-long-enough-for-them"),
        ("PLEXUS_REGISTRATION_SECRET", "of-the-tools"),
        ("POSTGRES_PASSWORD", "of-postgres"),
        ("GRAFANA_PASSWORD", "of-grafana"),
    ];
    values.map(|(name, value)| (name, value.to_owned())).into()
}

/// The names that `.env` has to have, for a test that its example has them.
pub fn variable_names() -> Vec<&'static str> {
    variables().into_keys().collect()
}
