//! The way of every request: match, forward or authenticate, read, handle, answer.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use ::http::{Method, StatusCode};
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{HeaderName, HeaderValue},
    web,
};
use bytes::Bytes;
use futures_util::FutureExt as _;
use rand::RngExt as _;
use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use crate::{
    app::{App, InFlight},
    call::Call,
    error::Error,
    extract::{
        auth,
        body::{self, Payload},
        server,
    },
    forward::{self, Forwarder},
    http::{self, Headers},
    metrics::RouteMetrics,
    routes::{BodyKind, Family, Found, Route},
};

/// Tells the client under which id the log has its request.
const RESPONSE_ID_HEADER: &str = "x-request-id";

/// The listener a request came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plane {
    /// Clients and other servers: forwarded if another role serves it.
    Public,
    /// Other processes of the deployment: handled here or refused.
    Internal,
}

/// Answers one request.
pub(crate) async fn handle(
    app: Arc<App>,
    plane: Plane,
    forwarder: Forwarder,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    if let Some(response) = own_page(&app, plane, &request) {
        return response;
    }
    if plane == Plane::Internal && !shows_secret(&app, &request) {
        let refusal = Error::forbidden("the internal listener takes requests of this deployment only");
        return http::response(refusal.into_reply());
    }
    if request.method() == actix_web::http::Method::OPTIONS {
        return http::builder(StatusCode::NO_CONTENT).finish();
    }
    let started = Instant::now();
    let request_id = request_id(plane, &request);
    let (route, index, segments, method) = match find(&app, &request) {
        Ok(found) => found,
        Err(error) => return answer(&app.unmatched_metrics, started, Err(error)),
    };
    let span = tracing::info_span!("request", request.id = %request_id, route = route.name);
    let work = async {
        let _in_flight = InFlight::count(&app, route);
        if app.serves(route) {
            let result = run(&app, plane, route, segments, method, &request, payload).await;
            return answer(&app.route_metrics[index], started, result);
        }
        match plane {
            Plane::Public => forward::forward(&app, &forwarder, route, &request_id, &request, payload).await,
            // One hop at most: a registry that is out of date must not send a request in a circle.
            Plane::Internal => {
                let error = Error::unavailable("this process does not serve the request");
                answer(&app.route_metrics[index], started, Err(error))
            }
        }
    };
    let mut response = work.instrument(span).await;
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response
            .headers_mut()
            .insert(HeaderName::from_static(RESPONSE_ID_HEADER), id);
    }
    response
}

fn find(app: &App, request: &HttpRequest) -> Result<(&'static Route, usize, Vec<String>, Method), Error> {
    let method = http::method(request)?;
    match app.router.find(&method, request.uri().path()) {
        Found::Route { route, index, segments } => Ok((route, index, segments, method)),
        Found::OtherMethods(allowed) => Err(Error::unrecognized_method(&allowed)),
        Found::Nothing => Err(Error::unrecognized_path()),
        Found::BadSegment => Err(Error::invalid_param(
            "the path is not percent-encoded UTF-8 without NUL",
        )),
    }
}

async fn run(
    app: &Arc<App>,
    plane: Plane,
    route: &'static Route,
    mut path: Vec<String>,
    method: Method,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<http::Reply, Error> {
    let body_cap = app.body_cap(route);
    body::check_length(request, body_cap)?;
    let (requester, token_hash) = auth::authenticate(app, plane, route, request).await?.unzip();
    let payload = Payload::new(payload, body_cap);
    let (body, payload) = match route.body {
        BodyKind::Whole => (payload.read().await?, None),
        BodyKind::File => (Bytes::new(), Some(payload)),
    };
    let origin = server::authenticate(app, route, request, &body).await?;
    let is_head = request.method() == actix_web::http::Method::HEAD;
    let headers = match route.family {
        // Files have conditions and ranges.
        Family::Media => Headers::All,
        Family::Client | Family::Sync | Family::Federation | Family::Admin => Headers::ContentType,
    };
    let request = http::request(request, method, body, headers)?;
    let transaction = route.transaction.then(|| path.pop()).flatten();
    let call = Call {
        app: Arc::clone(app),
        route,
        request,
        payload,
        path,
        transaction,
        requester,
        token_hash,
        origin,
    };
    // A panic, in ruma's parsers say, is one request's fault and must not cost its connection without a word.
    let handled = AssertUnwindSafe((route.handler)(call)).catch_unwind().await;
    let reply = handled.unwrap_or_else(|_| Err(Error::internal("the handler panicked")))?;
    Ok(if is_head { http::without_pieces(reply) } else { reply })
}

fn answer(metrics: &RouteMetrics, started: Instant, result: Result<http::Reply, Error>) -> HttpResponse {
    let reply = result.unwrap_or_else(|error| {
        error.log();
        error.into_reply()
    });
    metrics.record(reply.status().as_u16(), started.elapsed().as_secs_f64());
    http::response(reply)
}

/// The pages that are not part of Matrix: all on the internal listener, the sign of life on the public one as well.
fn own_page(app: &App, plane: Plane, request: &HttpRequest) -> Option<HttpResponse> {
    let path = request.uri().path();
    if plane == Plane::Public && path != "/health" {
        return None;
    }
    let page = (app.pages)(path)?;
    let status = StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Some(http::builder(status).content_type(page.content_type).body(page.body))
}

/// Whether a request comes from a process of this deployment. Digests are compared, so that the time it takes tells nothing about the secret.
fn shows_secret(app: &App, request: &HttpRequest) -> bool {
    let shown = request
        .headers()
        .get(forward::SECRET_HEADER)
        .map_or(&b""[..], |secret| secret.as_bytes());
    !app.internal_secret.is_empty() && Sha256::digest(shown) == Sha256::digest(app.internal_secret.as_bytes())
}

/// The id that ties the log lines of one request together; a forwarded request keeps its own.
fn request_id(plane: Plane, request: &HttpRequest) -> String {
    let forwarded = request
        .headers()
        .get(forward::REQUEST_ID_HEADER)
        .and_then(|id| id.to_str().ok());
    match (plane, forwarded) {
        (Plane::Internal, Some(id)) => id.to_owned(),
        (Plane::Internal | Plane::Public, _) => format!("{:016x}", rand::rng().random::<u64>()),
    }
}

#[cfg(test)]
mod tests;
