//! HTTP/1.1 over plain TCP, as cheap as hyper's connection level allows: one keep-alive connection per worker, no pool,
//! no URL parsing per request, headers built once per user and cloned.
//!
//! The generator shares its cores with the server it measures, so every microsecond saved here is one the server keeps.

use std::{rc::Rc, str::FromStr, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

/// Longer than any long poll we ask for; a request beyond it counts as failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How much of an error answer is kept for the report.
const MAX_ERROR_TEXT_BYTES: usize = 300;

/// Why one request did not count.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("bad address {0}: only http://host:port is understood")]
    Address(String),
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: std::io::Error },
    #[error("the request failed on its connection: {0}")]
    Transport(#[from] hyper::Error),
    #[error("the request could not be built: {0}")]
    Build(#[from] http::Error),
    #[error("no answer within {REQUEST_TIMEOUT:?}")]
    Timeout,
    #[error("{what} answered {status}: {text}")]
    Status { what: String, status: u16, text: String },
    #[error("unreadable answer: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Wrong(String),
}

/// Where requests go: the parsed form of `http://host:port`.
#[derive(Debug)]
pub(crate) struct Target {
    address: String,
    host: HeaderValue,
}

impl FromStr for Target {
    type Err = LoadError;

    fn from_str(url: &str) -> Result<Self, LoadError> {
        let bad = || LoadError::Address(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?;
        if uri.scheme_str() != Some("http") || uri.path().len() > 1 {
            return Err(bad());
        }
        let port = authority.port_u16().unwrap_or(80);
        let address = format!("{}:{port}", authority.host());
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| bad())?;
        Ok(Self { address, host })
    }
}

/// The headers every request of one user carries, built once.
#[derive(Clone, Debug)]
pub(crate) struct Head(HeaderMap);

impl Head {
    /// Headers of a request without an access token.
    pub(crate) fn anonymous() -> Self {
        let mut headers = HeaderMap::with_capacity(3);
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self(headers)
    }

    /// Headers of a request made with `access_token`.
    pub(crate) fn bearer(access_token: &str) -> Result<Self, LoadError> {
        let mut head = Self::anonymous();
        let value = HeaderValue::from_str(&format!("Bearer {access_token}"))
            .map_err(|_| LoadError::Wrong("the access token does not fit a header".to_owned()))?;
        head.0.insert(AUTHORIZATION, value);
        Ok(head)
    }
}

/// One keep-alive connection; reconnects before a request when the server closed it.
#[derive(Debug)]
pub(crate) struct Connection {
    target: Rc<Target>,
    open: Option<Open>,
}

/// The sending half, and the task that moves bytes for it; dropping the task set ends the task.
#[derive(Debug)]
struct Open {
    sender: SendRequest<Full<Bytes>>,
    _driver: JoinSet<()>,
}

impl Connection {
    pub(crate) fn new(target: &Rc<Target>) -> Self {
        Self {
            target: Rc::clone(target),
            open: None,
        }
    }

    pub(crate) async fn get(&mut self, head: &Head, path: &str) -> Result<Bytes, LoadError> {
        self.call(Method::GET, head, path, Bytes::new()).await
    }

    pub(crate) async fn post(&mut self, head: &Head, path: &str, body: String) -> Result<Bytes, LoadError> {
        self.call(Method::POST, head, path, Bytes::from(body)).await
    }

    pub(crate) async fn put(&mut self, head: &Head, path: &str, body: String) -> Result<Bytes, LoadError> {
        self.call(Method::PUT, head, path, Bytes::from(body)).await
    }

    /// The body of a 200 answer; everything else is an error.
    async fn call(&mut self, method: Method, head: &Head, path: &str, body: Bytes) -> Result<Bytes, LoadError> {
        match timeout(REQUEST_TIMEOUT, self.exchange(method, head, path, body)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => {
                // An answered request leaves the connection usable; any other failure does not.
                if !matches!(error, LoadError::Status { .. }) {
                    self.open = None;
                }
                Err(error)
            }
            Err(_) => {
                self.open = None;
                Err(LoadError::Timeout)
            }
        }
    }

    async fn exchange(&mut self, method: Method, head: &Head, path: &str, body: Bytes) -> Result<Bytes, LoadError> {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(path)
            .body(Full::new(body))?;
        *request.headers_mut() = head.0.clone();
        request.headers_mut().insert(HOST, self.target.host.clone());
        let answer = self.sender().await?.send_request(request).await?;
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await?.to_bytes();
        if status == 200 {
            return Ok(bytes);
        }
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_ERROR_TEXT_BYTES)]).into_owned();
        let path = path.split('?').next().unwrap_or(path);
        Err(LoadError::Status {
            what: format!("{method} {path}"),
            status,
            text,
        })
    }

    async fn sender(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, LoadError> {
        let usable = match &mut self.open {
            Some(open) => open.sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            self.open = Some(connect(&self.target).await?);
        }
        match &mut self.open {
            Some(open) => Ok(&mut open.sender),
            None => Err(LoadError::Timeout),
        }
    }
}

async fn connect(target: &Target) -> Result<Open, LoadError> {
    let failed = |source| LoadError::Connect {
        address: target.address.clone(),
        source,
    };
    let stream = TcpStream::connect(&target.address).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // How a connection ends is told to whoever waits for an answer on it.
        let _closed = connection.await;
    });
    Ok(Open {
        sender,
        _driver: driver,
    })
}

/// Reads the fields `T` names and skips the rest.
pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, LoadError> {
    Ok(serde_json::from_slice(body)?)
}

/// One path segment or query value, percent-encoded.
pub(crate) fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
