//! The listeners: one for everybody, one for the processes of this deployment.

use std::{io, net::TcpListener, sync::Arc, time::Duration};

use actix_web::{
    App as ActixApp, HttpRequest, HttpServer,
    dev::{Server, ServerHandle},
    web,
};
use rustls::ServerConfig;

use crate::{
    app::App,
    dispatch::{self, Plane},
    forward::Forwarder,
};

/// How long a client may take to send its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long an idle connection is kept; longer than what proxies keep theirs (nginx: 60 s), so that they close first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long requests in flight may take to end when the process stops.
const SHUTDOWN_TIMEOUT_S: u64 = 5;
/// Most connections of one thread.
const CONNECTIONS_PER_THREAD_MAX: usize = 25_000;

/// The sockets to serve. Already bound, so that a port in use is an error before anything starts.
#[derive(Debug)]
pub struct Listeners {
    /// Where clients and other servers come in.
    pub public: TcpListener,
    /// The same over TLS.
    pub tls: Option<(TcpListener, ServerConfig)>,
    /// Where the other processes and the operator's tools come in.
    pub internal: Option<TcpListener>,
    /// Threads for each listener.
    pub threads: usize,
}

/// What was started. Awaiting a server runs it until it is stopped.
pub struct Servers {
    pub public: Server,
    pub internal: Option<Server>,
}

impl Servers {
    /// The handles that stop them, in the order in which to: the public one first.
    pub fn handles(&self) -> Vec<ServerHandle> {
        let internal = self.internal.as_ref().map(Server::handle);
        std::iter::once(self.public.handle()).chain(internal).collect()
    }
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Servers")
            .field("internal", &self.internal.is_some())
            .finish_non_exhaustive()
    }
}

/// Starts listening. Must be called inside a tokio runtime; the threads are actix's own, each with a runtime for itself.
pub fn serve(app: &Arc<App>, listeners: Listeners) -> io::Result<Servers> {
    let Listeners {
        public,
        tls,
        internal,
        threads,
    } = listeners;
    let public = listen(app, Plane::Public, public, tls, threads)?;
    let internal = internal
        .map(|internal| listen(app, Plane::Internal, internal, None, threads))
        .transpose()?;
    Ok(Servers { public, internal })
}

fn listen(
    app: &Arc<App>,
    plane: Plane,
    listener: TcpListener,
    tls: Option<(TcpListener, ServerConfig)>,
    threads: usize,
) -> io::Result<Server> {
    let app = Arc::clone(app);
    // Runs once in each thread, so that the connections of a forwarder belong to the runtime that uses them.
    let factory = move || {
        let (app, forwarder) = (Arc::clone(&app), Forwarder::of_this_thread());
        let handle = move |request: HttpRequest, payload: web::Payload| {
            dispatch::handle(Arc::clone(&app), plane, forwarder.clone(), request, payload)
        };
        ActixApp::new().default_service(web::to(handle))
    };
    let server = HttpServer::new(factory)
        .workers(threads)
        .client_request_timeout(HEAD_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .max_connections(CONNECTIONS_PER_THREAD_MAX)
        .tcp_nodelay(true)
        // A client that hangs up gives up: its long-poll ends with the connection.
        .h1_allow_half_closed(false)
        .shutdown_timeout(SHUTDOWN_TIMEOUT_S)
        // Signals are the runtime crate's.
        .disable_signals()
        .listen(listener)?;
    let server = match tls {
        Some((listener, config)) => server.listen_rustls_0_23(listener, config)?,
        None => server,
    };
    Ok(server.run())
}
