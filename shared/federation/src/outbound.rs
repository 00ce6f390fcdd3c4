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
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{client::legacy, rt::TokioExecutor, rt::TokioTimer};
use tokio::time::timeout;

use self::connect::{Connector, Resolver};
pub use self::ranges::{AddressRules, DEFAULT_DENIED};

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
    #[error("{0}")]
    Connection(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took longer than [`EXCHANGE_TIMEOUT`].
    #[error("no complete answer in time")]
    TimedOut,
    /// It is longer than [`ANSWER_BYTES_MAX`].
    #[error("the answer is too long")]
    TooLong,
}

/// An answer, read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status. Redirects are answers like others.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

/// The client. Cheap to clone; connections, trust roots and rules are shared.
#[derive(Clone, Debug)]
pub struct Client {
    http: legacy::Client<Connector, Full<Bytes>>,
    timeout: Duration,
}

impl Client {
    /// A client by these rules. Reads the trusted certificates once.
    pub fn new(config: &OutboundConfig) -> Result<Self, OutboundError> {
        Self::with(config, connect::system_resolver(), EXCHANGE_TIMEOUT)
    }

    fn with(config: &OutboundConfig, resolver: Resolver, timeout: Duration) -> Result<Self, OutboundError> {
        let tls = tls::config(&config.extra_ca_files)?;
        let connector = Connector::new(config.addresses.clone(), resolver, tls);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .build(connector);
        Ok(Self { http, timeout })
    }

    /// Posts JSON and reads the answer.
    pub async fn post_json(&self, to: &Uri, body: Bytes) -> Result<Answer, OutboundError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(to)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, USER_AGENT)
            .body(Full::new(body))
            .map_err(|error| OutboundError::Address(error.to_string()))?;
        timeout(self.timeout, self.exchange(request))
            .await
            .unwrap_or(Err(OutboundError::TimedOut))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, OutboundError> {
        let response = self.http.request(request).await;
        let response = response.map_err(|error| OutboundError::Connection(Box::new(error)))?;
        let status = response.status();
        let body = read(response.into_body()).await?;
        Ok(Answer { status, body })
    }
}

async fn read(mut body: Incoming) -> Result<Bytes, OutboundError> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| OutboundError::Connection(Box::new(error)))?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > ANSWER_BYTES_MAX {
            return Err(OutboundError::TooLong);
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}
