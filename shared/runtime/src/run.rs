//! One process, from its start to its end.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use plexus_api::{
    app::{App, Pages},
    serve::{Listeners, Servers, serve},
};
use plexus_replication::Tasks;
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{Server, server::TcpIncoming},
};

use crate::{
    config::{Config, Topology},
    error::RunError,
    lifecycle::{StopSignals, reload_on_hangup, serve_until_told},
    listeners::{Bound, advertised},
    metrics::Metrics,
    node::{Node, NodeParts},
    pages::{Pulse, pages, serve_metrics},
    registry::Registry,
    role::{BackgroundParts, Role, Share, families},
    secrets, telemetry,
    tls::Certificate,
};

/// How often recorded metrics are put away.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// How long a blocked thread may hold up the end of the process.
const THREADS_END_MAX: Duration = Duration::from_secs(1);

/// What a process is started with.
#[derive(Debug)]
pub struct Start {
    /// The configuration, checked.
    pub config: Config,
    /// Alone, or beside others.
    pub topology: Topology,
    /// What it does.
    pub roles: Vec<Role>,
    /// Every role there is.
    pub known: &'static [Role],
    /// Its name in the registry.
    pub name: String,
}

/// Runs a process until it is told to stop.
pub fn run(start: &Start) -> Result<(), RunError> {
    telemetry::start(&start.config.log)?;
    let runtime = tokio_runtime()?;
    let outcome = runtime.block_on(Box::pin(run_here(start)));
    runtime.shutdown_timeout(THREADS_END_MAX);
    outcome
}

/// The one multi-threaded runtime of a process: as many threads as there are processors.
pub fn tokio_runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("plexus")
        .build()
}

/// The file that says where the process on an embedded database listens, for the tools of its operator.
pub(crate) fn address_file(config: &Config) -> PathBuf {
    config.data_dir.join("plexus.url")
}

async fn run_here(start: &Start) -> Result<(), RunError> {
    let mut signals = StopSignals::install()?;
    let running = tokio::select! {
        running = Box::pin(start_up(start)) => running?,
        signal = signals.received() => {
            tracing::info!(signal, "stopped while starting");
            return Ok(());
        }
    };
    let Running {
        app,
        node,
        registry,
        servers,
        stopping,
        grpc_end,
    } = running;
    let outcome = serve_until_told(servers, signals, || {
        stopping.store(true, Ordering::Relaxed);
        app.stop_waiting();
        // Beside others, a standby can lead while the last requests here are answered; alone, these still need the master.
        if start.topology == Topology::Split {
            node.hand_over();
        }
    })
    .await;
    if let Some(registry) = registry {
        registry.leave().await;
    }
    grpc_end.cancel();
    node.stop().await;
    tracing::info!("stopped");
    Ok(outcome?)
}

/// A process that answers requests.
struct Running {
    app: Arc<App>,
    node: Node,
    registry: Option<Registry>,
    servers: Servers,
    /// Set for `/ready`.
    stopping: Arc<AtomicBool>,
    /// Ends the listener for Commands of other processes.
    grpc_end: CancellationToken,
}

async fn start_up(start: &Start) -> Result<Running, RunError> {
    let metrics = Metrics::install()?;
    let bound = Bound::bind(&start.config, is_grpc_needed(start))?;
    let address = bound.public.local_addr()?;
    let mut node = start_node(start, &bound).await?;
    let stopping = Arc::new(AtomicBool::new(false));
    let pages = pages(Pulse {
        replica: node.ctx.replica.clone(),
        leading: node.leading(),
        slowest_rooms: node.slowest_rooms(),
        metrics: metrics.clone(),
        stopping: Arc::clone(&stopping),
    });
    let registry = enter_registry(start, &node, &bound.internal).await?;
    let grpc_end = CancellationToken::new();
    if let (Some(listener), Some(routes)) = (bound.grpc, node.take_grpc()) {
        serve_grpc(&node.tasks, listener, routes, grpc_end.clone())?;
    }
    if let Some(listener) = bound.metrics {
        node.tasks
            .spawn(serve_metrics(listener, Arc::clone(&pages), node.tasks.clone()));
    }
    node.tasks.spawn(keep_up(metrics));
    start_background(start, &node, registry.as_ref())?;
    let app = Arc::new(app(start, &node, registry.as_ref(), pages)?);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let certificate = bound
        .tls
        .as_ref()
        .map(|_| Certificate::read(&start.config))
        .transpose()?;
    let encrypted = certificate.as_ref().map(Certificate::server_config).transpose()?;
    let servers = serve(
        &app,
        Listeners {
            public: bound.public,
            tls: bound.tls.zip(encrypted),
            internal: Some(bound.internal),
            threads,
        },
    )?;
    node.tasks.spawn(reload_on_hangup(certificate)?);
    leave_address(&start.config, address)?;
    greet(start, address);
    Ok(Running {
        app,
        node,
        registry,
        servers,
        stopping,
        grpc_end,
    })
}

/// Whether other processes send Commands here.
fn is_grpc_needed(start: &Start) -> bool {
    start.topology == Topology::Split && start.roles.iter().any(|role| role.master.is_some())
}

async fn start_node(start: &Start, bound: &Bound) -> Result<Node, RunError> {
    let (config, topology) = (&start.config, start.topology);
    let grpc_address = bound
        .grpc
        .as_ref()
        .map(|listener| advertised(config, listener))
        .transpose()?;
    Node::start(NodeParts {
        config,
        topology,
        name: &start.name,
        roles: &start.roles,
        grpc_address,
        registration_secret: secrets::registration_secret(config, topology)?,
    })
    .await
}

/// Enters the process among the others, if there can be others.
async fn enter_registry(start: &Start, node: &Node, internal: &TcpListener) -> Result<Option<Registry>, RunError> {
    if start.topology == Topology::One {
        return Ok(None);
    }
    let address = advertised(&start.config, internal)?;
    let replica = node.ctx.replica.clone();
    let registry = Registry::enter(&start.name, &start.roles, start.known, address, replica).await?;
    node.tasks.spawn(registry.clone().keep());
    Ok(Some(registry))
}

/// Starts what the roles do besides answering requests.
fn start_background(start: &Start, node: &Node, registry: Option<&Registry>) -> Result<(), RunError> {
    for role in &start.roles {
        let Some(background) = role.background else { continue };
        background(BackgroundParts {
            ctx: node.ctx.clone(),
            outbound: start.config.outbound_rules()?,
            share: registry.map_or_else(|| -> Share { Arc::new(|_| true) }, |registry| registry.share(role.name)),
            tasks: node.tasks.clone(),
        })?;
    }
    Ok(())
}

fn app(start: &Start, node: &Node, registry: Option<&Registry>, pages: Pages) -> Result<App, RunError> {
    let secret = secrets::internal_secret(&start.config).reveal().to_owned();
    let targets = registry.map(Registry::targets);
    App::new(node.ctx.clone(), families(&start.roles), targets, secret, pages)
        .map_err(|error| RunError::Routes(error.to_string()))
}

fn serve_grpc(tasks: &Tasks, listener: TcpListener, routes: Routes, end: CancellationToken) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tasks.spawn(async move {
        let server = Server::builder().add_routes(routes);
        if let Err(error) = server
            .serve_with_incoming_shutdown(incoming, end.cancelled_owned())
            .await
        {
            tracing::error!(%error, "commands of other processes are no longer taken");
        }
    });
    Ok(())
}

async fn keep_up(metrics: Metrics) {
    loop {
        tokio::time::sleep(UPKEEP_EVERY).await;
        metrics.upkeep();
    }
}

/// Writes down where this process listens, if it is the only one on its data.
fn leave_address(config: &Config, address: SocketAddr) -> Result<(), RunError> {
    if config.sqlite_path().is_none() {
        return Ok(());
    }
    let path = address_file(config);
    std::fs::write(&path, format!("{}\n", url_of(address))).map_err(|source| RunError::File { path, source })
}

/// Where somebody on this machine connects.
fn url_of(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

/// What the operator wants to know first.
fn greet(start: &Start, address: SocketAddr) {
    let config = &start.config;
    let roles = start.roles.iter().map(|role| role.name).collect::<Vec<_>>().join(", ");
    let url = url_of(address);
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(
        process.name = start.name,
        roles,
        version,
        "{} is served on {url}",
        config.server_name
    );
    if config.registration.open {
        tracing::info!("anybody who can connect may make an account (registration.open)");
    }
    if start.topology == Topology::One {
        tracing::info!("to make the first administrator: plexus register-user --admin NAME");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_interface_is_reached_on_loopback() {
        let url = |text: &str| url_of(text.parse().expect("an address"));
        assert_eq!(url("0.0.0.0:8008"), "http://127.0.0.1:8008");
        assert_eq!(url("[::]:8008"), "http://[::1]:8008");
        assert_eq!(url("10.0.0.1:8008"), "http://10.0.0.1:8008");
    }
}
