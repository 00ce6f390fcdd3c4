//! Handing a request to the process that serves it: one hop, streamed both ways, byte-equal.
//!
//! The first process has matched the route and holds the body to its limit; the second one answers or refuses, and forwards nothing further.

mod body;
mod headers;
mod pin;

use std::{borrow::Cow, sync::Arc, time::Duration};

use ::http::{HeaderName, HeaderValue, Request, StatusCode, Uri, header};
use actix_web::{HttpRequest, HttpResponse, body::SizedStream, web};
use futures_util::{StreamExt as _, future};
use http_body_util::BodyStream;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use metrics::counter;

use self::body::Upload;
pub use self::pin::weight;
use crate::{
    app::App,
    dispatch::Plane,
    error::Error,
    extract::{auth, body as request_body},
    http, metrics as names,
    routes::{Family, Route},
};

/// The header that shows that a request comes from a process of this deployment.
pub const SECRET_HEADER: &str = "x-plexus-secret";
/// The header with the id that the first process gave the request.
pub const REQUEST_ID_HEADER: &str = "x-plexus-request-id";

/// The header with the address the client connected from.
pub const CLIENT_HEADER: &str = "x-plexus-client";

/// How long a connection to another process may take: they are all near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Most processes that are tried, the later ones only if nothing reached the earlier.
const TARGETS_TRIED_MAX: usize = 3;
/// Most idle connections a thread keeps to one process.
const IDLE_CONNECTIONS_MAX: usize = 64;

/// A process that takes forwarded requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name in the registry; pins are by name, so that a restart at another address keeps them.
    pub name: String,
    /// `host:port` of its internal listener.
    pub address: String,
}

/// The processes that serve a family now, as the registry has them.
pub type Targets = Arc<dyn Fn(Family) -> Vec<Target> + Send + Sync>;

/// The connections of one thread to the other processes.
#[derive(Clone, Debug)]
pub struct Forwarder {
    client: Client<HttpConnector, Upload>,
}

impl Forwarder {
    /// A forwarder for the thread that calls this.
    pub fn of_this_thread() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(connector);
        Self { client }
    }
}

/// Why the other process gave no response.
enum Failure {
    /// Nothing was sent: another process may be tried.
    NotReached(Error),
    /// Something may have been: only the client can decide to try again.
    Final(Error),
}

/// Answers a request with the response of a process that serves it.
pub(crate) async fn forward(
    app: &App,
    forwarder: &Forwarder,
    route: &Route,
    request_id: &str,
    request: &HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let result = relay(app, forwarder, route, request_id, request, payload).await;
    let outcome = if result.is_ok() { "answered" } else { "failed" };
    counter!(names::FORWARDED_TOTAL, "family" => route.family.as_str(), "outcome" => outcome).increment(1);
    result.unwrap_or_else(|error| {
        error.log();
        http::response(error.into_reply())
    })
}

async fn relay(
    app: &App,
    forwarder: &Forwarder,
    route: &Route,
    request_id: &str,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let body_cap = app.body_cap(route);
    request_body::check_length(request, body_cap)?;
    let targets = app
        .targets
        .as_ref()
        .map_or_else(Vec::new, |targets| targets(route.family));
    let key = auth::access_token(request).map_or_else(|| request_id.to_owned(), Cow::into_owned);
    let upload = Upload::start(request, payload, body_cap);
    for target in pin::by_preference(targets, &key).into_iter().take(TARGETS_TRIED_MAX) {
        match send(app, forwarder, &target, request_id, request, upload.clone()).await {
            Ok(response) => return Ok(response),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::NotReached(error)) => {
                error.log();
                tracing::warn!(target.name, target.address, "cannot reach the process, trying the next");
            }
        }
    }
    Err(Error::unavailable("no process that serves the request can be reached"))
}

async fn send(
    app: &App,
    forwarder: &Forwarder,
    target: &Target,
    request_id: &str,
    request: &HttpRequest,
    upload: Upload,
) -> Result<HttpResponse, Failure> {
    let outgoing = outgoing(app, target, request_id, request, upload.clone()).map_err(Failure::Final)?;
    match forwarder.client.request(outgoing).await {
        Ok(response) => Ok(incoming(response)),
        Err(_) if upload.is_too_large() => Err(Failure::Final(request_body::too_large(upload.cap()))),
        Err(error) if error.is_connect() && !upload.has_started() => Err(Failure::NotReached(Error::internal(error))),
        Err(error) => {
            tracing::warn!(%error, target.name, target.address, "the process did not answer");
            Err(Failure::Final(Error::unavailable(
                "the process that serves the request did not answer",
            )))
        }
    }
}

/// The request for the other process: the same method, target, headers and body, plus what shows where it comes from.
fn outgoing(
    app: &App,
    target: &Target,
    request_id: &str,
    request: &HttpRequest,
    upload: Upload,
) -> Result<Request<Upload>, Error> {
    let method = ::http::Method::from_bytes(request.method().as_str().as_bytes()).map_err(Error::internal)?;
    let uri = Uri::builder()
        .scheme("http")
        .authority(target.address.as_str())
        .path_and_query(http::raw_target(request))
        .build()
        .map_err(Error::internal)?;
    let mut outgoing = Request::new(upload);
    *outgoing.method_mut() = method;
    *outgoing.uri_mut() = uri;
    *outgoing.headers_mut() = headers::to_pass_on(&http::request_headers(request)?);
    let secret = HeaderValue::from_str(&app.internal_secret).map_err(Error::internal)?;
    let request_id = HeaderValue::from_str(request_id).map_err(Error::internal)?;
    outgoing
        .headers_mut()
        .insert(HeaderName::from_static(SECRET_HEADER), secret);
    outgoing
        .headers_mut()
        .insert(HeaderName::from_static(REQUEST_ID_HEADER), request_id);
    if let Ok(client) = HeaderValue::from_str(&auth::client_address(app, Plane::Public, request)) {
        outgoing
            .headers_mut()
            .insert(HeaderName::from_static(CLIENT_HEADER), client);
    }
    Ok(outgoing)
}

/// The other process's response, its body passed on piece by piece as it comes.
fn incoming(response: ::http::Response<Incoming>) -> HttpResponse {
    let (parts, body) = response.into_parts();
    let status = StatusCode::from_u16(parts.status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut builder = HttpResponse::build(
        actix_web::http::StatusCode::from_u16(status.as_u16()).unwrap_or(actix_web::http::StatusCode::BAD_GATEWAY),
    );
    let length = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    for (name, value) in &headers::to_pass_on(&parts.headers) {
        if name != header::CONTENT_LENGTH {
            builder.append_header((name.as_str(), value.as_bytes()));
        }
    }
    let pieces = BodyStream::new(body).filter_map(|frame| {
        future::ready(match frame {
            Ok(frame) => frame.into_data().ok().map(Ok),
            Err(error) => Some(Err(error)),
        })
    });
    match length {
        Some(length) => builder.body(SizedStream::new(length, pieces)),
        None => builder.streaming(pieces),
    }
}

#[cfg(test)]
mod tests;
