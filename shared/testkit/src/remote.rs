//! A double of another server: HTTPS on loopback, and whatever answers a test wants.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use crate::Authority;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// The name in the TLS handshake, if there was one.
    pub sni: Option<String>,
}

/// What it answers: a status and JSON; nothing at all for `None`.
pub type Script = dyn Fn(&Received) -> Option<(u16, String)> + Send + Sync;

/// The double.
pub struct Remote {
    /// Where it listens.
    pub port: u16,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

struct Shared {
    script: Mutex<Arc<Script>>,
    received: Mutex<Vec<Received>>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Remote {
    /// Starts one on 127.0.0.1 whose certificate is for these names. It answers 404 until it is told otherwise.
    pub async fn start(authority: &Authority, names: &[&str]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let tls = TlsAcceptor::from(Arc::new(server_config(authority, names)));
        let shared = Arc::new(Shared {
            script: Mutex::new(Arc::new(|_| Some((404, "{}".to_owned())))),
            received: Mutex::default(),
        });
        let accepting = Handle::current().spawn(accept(listener, tls, Arc::clone(&shared)));
        Self {
            port,
            shared,
            accepting: accepting.abort_handle(),
        }
    }

    /// Its name, which says where it is.
    pub fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on it answers so.
    pub fn answers(&self, script: impl Fn(&Received) -> Option<(u16, String)> + Send + Sync + 'static) {
        *lock(&self.shared.script) = Arc::new(script);
    }

    /// From now on it answers so at one path, and 404 elsewhere.
    pub fn answers_at(&self, path: &'static str, body: String) {
        self.answers(move |request| {
            let here = request.target.split('?').next() == Some(path);
            Some(if here {
                (200, body.clone())
            } else {
                (404, "{}".to_owned())
            })
        });
    }

    /// Everything it was asked.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.received).clone()
    }

    /// How often it was asked for a path.
    pub fn count(&self, path: &str) -> usize {
        let received = lock(&self.shared.received);
        received
            .iter()
            .filter(|request| request.target.split('?').next() == Some(path))
            .count()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn server_config(authority: &Authority, names: &[&str]) -> ServerConfig {
    let issued = authority.issue(names);
    let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).expect("just made");
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("just made");
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the usual versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("key and certificate were made together")
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, tls.clone(), Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, tls: TlsAcceptor, shared: Arc<Shared>) {
    // A client that does not believe the certificate hangs up.
    let Ok(stream) = tls.accept(stream).await else { return };
    let sni = stream.get_ref().1.server_name().map(str::to_owned);
    let answer = service_fn(|request| answer(request, sni.clone(), Arc::clone(&shared)));
    let _broken_off = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    sni: Option<String>,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let received = Received {
        method: head.method,
        target: head.uri.to_string(),
        headers: head.headers,
        body,
        sni,
    };
    lock(&shared.received).push(received.clone());
    let script = Arc::clone(&lock(&shared.script));
    let Some((status, body)) = script(&received) else {
        return std::future::pending().await;
    };
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/json");
    Ok(response
        .body(Full::from(body))
        .expect("tests answer with valid statuses"))
}
