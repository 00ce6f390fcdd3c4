//! Connecting: look the name up, keep what is permitted, connect to exactly that.

use std::{
    fmt,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower::Service;

use super::{AddressRules, tls::Tls};
use crate::address::Host;

/// How long one address may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most addresses of a name that are tried.
const ADDRESSES_TRIED_MAX: usize = 3;

/// What a name stands for.
pub(super) type Resolver = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The system's own look-up.
pub(super) fn system_resolver() -> Resolver {
    Arc::new(|host| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// Makes connections by the rules.
#[derive(Clone)]
pub(super) struct Connector {
    addresses: Arc<AddressRules>,
    resolver: Resolver,
    tls: Tls,
    /// Whether the part of an address before `@` says where to connect, and the host only whose certificate is wanted.
    is_routed: bool,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl Connector {
    pub(super) fn new(addresses: AddressRules, resolver: Resolver, tls: Tls) -> Self {
        Self {
            addresses: Arc::new(addresses),
            resolver,
            tls,
            is_routed: false,
        }
    }

    /// For addresses that [`routed`] made.
    pub(super) fn for_routes(self) -> Self {
        Self {
            is_routed: true,
            ..self
        }
    }

    async fn connect(self, to: Uri) -> io::Result<Stream> {
        let refuse = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
        let secure = match to.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(refuse("neither http nor https")),
        };
        let host = Host::parse(to.host().ok_or_else(|| refuse("no host"))?);
        let port = to.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let (target, port) = if self.is_routed {
            route_of(&to).unwrap_or_else(|| (host.clone(), port))
        } else {
            (host.clone(), port)
        };
        let tcp = self.connect_tcp(&target, port).await?;
        if !secure {
            return Ok(Stream::Plain(TokioIo::new(tcp)));
        }
        // An address has no server name indication, and its certificate names the address.
        let name = match &host {
            Host::Ip(address) => ServerName::from(*address),
            Host::Name(name) => {
                ServerName::try_from(name.clone()).map_err(|_| refuse("the host has no certificate name"))?
            }
        };
        let tls = TlsConnector::from(self.tls.config(&host));
        let tls = timeout(CONNECT_TIMEOUT, tls.connect(name, tcp)).await??;
        Ok(Stream::Tls(TokioIo::new(Box::new(tls))))
    }

    /// The first permitted address of the host that takes a connection.
    async fn connect_tcp(&self, host: &Host, port: u16) -> io::Result<TcpStream> {
        let found = match host {
            Host::Ip(address) => vec![*address],
            Host::Name(name) => (self.resolver)(name.clone()).await?,
        };
        let permitted = found.into_iter().filter(|address| self.addresses.permit(*address));
        let mut last = io::Error::new(io::ErrorKind::PermissionDenied, "no address that may be connected to");
        for address in permitted.take(ADDRESSES_TRIED_MAX) {
            let connecting = TcpStream::connect(SocketAddr::new(address, port));
            match timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(Ok(tcp)) => {
                    tcp.set_nodelay(true)?;
                    return Ok(tcp);
                }
                Ok(Err(error)) => last = error,
                Err(late) => last = late.into(),
            }
        }
        Err(last)
    }
}

/// The address of requests to a server that is found elsewhere than its certificate says. Connections are kept by their address, so that what leads
/// elsewhere later gets other connections.
pub(super) fn routed(certificate: &Host, target: &Host, port: u16, path_and_query: &str) -> Result<Uri, http::Error> {
    let authority = format!("{target}:{port}@{certificate}");
    Uri::builder()
        .scheme("https")
        .authority(authority.as_str())
        .path_and_query(path_and_query)
        .build()
}

/// Where [`routed`] leads, if the address is of its form.
fn route_of(address: &Uri) -> Option<(Host, u16)> {
    let (route, _) = address.authority()?.as_str().rsplit_once('@')?;
    let (host, port) = route.rsplit_once(':')?;
    Some((Host::parse(host), port.parse().ok()?))
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(self.clone().connect(to))
    }
}

/// A connection, encrypted or not.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(TokioIo<Box<TlsStream<TcpStream>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
