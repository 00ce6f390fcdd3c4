//! The one HTTP client for requests to others.
//!
//! An address comes from a name that somebody outside chose, so the client looks the name up itself, refuses addresses that are not of the public
//! Internet, and connects to the very address it has checked: a name that answers differently the second time gains nothing. Bytes and time have bounds,
//! redirects are not followed, nothing is decompressed.

mod connect;
mod ranges;
#[cfg(test)]
mod tests;
mod tls;

use std::{path::PathBuf, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::body::Body;
use hyper_util::{client::legacy, rt::TokioExecutor, rt::TokioTimer};
use tokio::time::timeout;

use self::{
    connect::{Connector, Resolver},
    tls::Tls,
};
pub use self::{
    ranges::{AddressRules, DEFAULT_DENIED},
    tls::Trust,
};
use crate::discovery::Route;

/// Longest a whole exchange may take, from the look-up to the last byte.
pub const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of an answer that are read.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Most idle connections that are kept to one host.
const IDLE_PER_HOST_MAX: usize = 4;
/// How long an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// What we call ourselves.
const USER_AGENT: &str = concat!("Plexus/", env!("CARGO_PKG_VERSION"));

/// How requests go out.
#[derive(Clone, Debug, Default)]
pub struct OutboundConfig {
    /// Which addresses may be connected to.
    pub addresses: AddressRules,
    /// PEM files whose certificates are trusted besides the system's.
    pub extra_ca_files: Vec<PathBuf>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The certificates that are to be trusted cannot be read.
    #[error("trusted certificates: {0}")]
    Trust(String),
    /// The address is not one to connect to: not HTTP, or without a host.
    #[error("not an http or https address: {0}")]
    Address(String),
    /// No connection, or it broke.
    #[error("{}", chain(&**.0))]
    Connection(Box<dyn std::error::Error + Send + Sync>),
    /// It took longer than it may.
    #[error("no complete answer in time")]
    TimedOut,
    /// It is longer than it may be.
    #[error("the answer is too long")]
    TooLong,
}

/// An error and its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let further = error.to_string();
        // Some say what their cause says.
        if !text.ends_with(&further) {
            text = format!("{text}: {further}");
        }
        cause = error.source();
    }
    text
}

/// How much of an exchange there may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long it may take, from the look-up to the last byte.
    pub timeout: Duration,
    /// Most bytes of the answer's body.
    pub answer_bytes_max: usize,
}

/// A request to a server of the federation.
#[derive(Clone, Debug)]
pub struct ToServer<'a> {
    /// The method.
    pub method: Method,
    /// Path and query, encoded.
    pub target: &'a str,
    /// What shows who sends it.
    pub authorization: Option<HeaderValue>,
    /// The body, JSON.
    pub content: Option<Bytes>,
}

/// An answer, read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status. Redirects are answers like others.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// An answer whose body is read as it comes. Only on the runtime that connections live on.
#[derive(Debug)]
pub struct Opened {
    /// Its status. Redirects are answers like others.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Pieces,
}

/// A body as it comes, up to a number of bytes.
#[derive(Debug)]
pub struct Pieces {
    body: UnsyncBoxBody<Bytes, hyper::Error>,
    left: usize,
}

impl Pieces {
    pub(crate) fn new(body: impl Body<Data = Bytes, Error = hyper::Error> + Send + 'static, bytes_max: usize) -> Self {
        Self {
            body: body.boxed_unsync(),
            left: bytes_max,
        }
    }

    /// What comes next; nothing at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, OutboundError> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| OutboundError::Connection(Box::new(error)))?;
            let Ok(data) = frame.into_data() else { continue };
            self.left = self.left.checked_sub(data.len()).ok_or(OutboundError::TooLong)?;
            return Ok(Some(data));
        }
        Ok(None)
    }
}

/// The client. Cheap to clone; connections, trust roots and rules are shared.
#[derive(Clone, Debug)]
pub struct Client {
    http: legacy::Client<Connector, Full<Bytes>>,
    timeout: Duration,
}

impl Client {
    /// A client for the web by these rules. Reads the trusted certificates once.
    pub fn new(config: &OutboundConfig) -> Result<Self, OutboundError> {
        Self::with(config, connect::system_resolver(), EXCHANGE_TIMEOUT)
    }

    /// A client for the federation: with a trust of its own, and for hosts found by [`Discovery`](crate::discovery::Discovery).
    pub fn federation(addresses: &AddressRules, trust: &Trust) -> Result<Self, OutboundError> {
        Self::federation_with(addresses, trust, connect::system_resolver())
    }

    fn federation_with(addresses: &AddressRules, trust: &Trust, resolver: Resolver) -> Result<Self, OutboundError> {
        let connector = Connector::new(addresses.clone(), resolver, Tls::federation(trust)?);
        Ok(Self::of(connector.for_routes(), EXCHANGE_TIMEOUT))
    }

    fn with(config: &OutboundConfig, resolver: Resolver, timeout: Duration) -> Result<Self, OutboundError> {
        let tls = Tls::web(&config.extra_ca_files)?;
        Ok(Self::of(
            Connector::new(config.addresses.clone(), resolver, tls),
            timeout,
        ))
    }

    fn of(connector: Connector, timeout: Duration) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .build(connector);
        Self { http, timeout }
    }

    /// Posts JSON and reads the answer.
    pub async fn post_json(&self, to: &Uri, body: Bytes) -> Result<Answer, OutboundError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(to)
            .header(header::CONTENT_TYPE, "application/json");
        let limits = Limits {
            timeout: self.timeout,
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        self.exchange(request, body, limits).await
    }

    /// Gets a page of the web.
    pub(crate) async fn get(&self, from: &Uri, limits: Limits) -> Result<Answer, OutboundError> {
        self.exchange(Request::builder().uri(from), Bytes::new(), limits).await
    }

    /// Begins to get something of the web.
    pub(crate) async fn open(&self, from: &Uri, bytes_max: usize) -> Result<Opened, OutboundError> {
        self.begin(Request::builder().uri(from), Bytes::new(), bytes_max).await
    }

    /// Sends a request to a server by one of its targets after the other, until one takes the connection.
    pub(crate) async fn to_server(
        &self,
        route: &Route,
        request: &ToServer<'_>,
        limits: Limits,
    ) -> Result<Answer, OutboundError> {
        let exchange = async {
            let opened = self.open_server(route, request, limits.answer_bytes_max).await?;
            read(opened).await
        };
        timeout(limits.timeout, exchange)
            .await
            .unwrap_or(Err(OutboundError::TimedOut))
    }

    /// The same, with a body that is read as it comes.
    pub(crate) async fn open_server(
        &self,
        route: &Route,
        request: &ToServer<'_>,
        bytes_max: usize,
    ) -> Result<Opened, OutboundError> {
        let mut last = OutboundError::Address(route.host_header.clone());
        for target in &route.targets {
            let address = |error: http::Error| OutboundError::Address(error.to_string());
            let uri =
                connect::routed(&route.certificate, &target.host, target.port, request.target).map_err(address)?;
            let mut builder = Request::builder()
                .method(request.method.clone())
                .uri(uri)
                .header(header::HOST, &route.host_header);
            if let Some(authorization) = &request.authorization {
                builder = builder.header(header::AUTHORIZATION, authorization);
            }
            if request.content.is_some() {
                builder = builder.header(header::CONTENT_TYPE, "application/json");
            }
            let body = request.content.clone().unwrap_or_default();
            match self.begin(builder, body, bytes_max).await {
                // Nothing was sent: another place may be tried.
                Err(OutboundError::Connection(error)) if is_connect(&*error) => {
                    last = OutboundError::Connection(error);
                }
                outcome => return outcome,
            }
        }
        Err(last)
    }

    /// Sends some request to a place of the web and reads the answer.
    pub(crate) async fn exchange(
        &self,
        request: http::request::Builder,
        body: Bytes,
        limits: Limits,
    ) -> Result<Answer, OutboundError> {
        let exchange = async { read(self.begin(request, body, limits.answer_bytes_max).await?).await };
        timeout(limits.timeout, exchange)
            .await
            .unwrap_or(Err(OutboundError::TimedOut))
    }

    async fn begin(
        &self,
        request: http::request::Builder,
        body: Bytes,
        bytes_max: usize,
    ) -> Result<Opened, OutboundError> {
        let request = request
            .header(header::USER_AGENT, USER_AGENT)
            .body(Full::new(body))
            .map_err(|error| OutboundError::Address(error.to_string()))?;
        let response = self.http.request(request).await;
        let response = response.map_err(|error| OutboundError::Connection(Box::new(error)))?;
        let (head, body) = response.into_parts();
        Ok(Opened {
            status: head.status,
            headers: head.headers,
            body: Pieces::new(body, bytes_max),
        })
    }
}

fn is_connect(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error
        .downcast_ref::<legacy::Error>()
        .is_some_and(legacy::Error::is_connect)
}

async fn read(opened: Opened) -> Result<Answer, OutboundError> {
    let (mut body, mut read) = (opened.body, BytesMut::new());
    while let Some(piece) = body.next().await? {
        read.extend_from_slice(&piece);
    }
    Ok(Answer {
        status: opened.status,
        headers: opened.headers,
        body: read.freeze(),
    })
}
