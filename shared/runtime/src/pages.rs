//! `/health`, `/ready`, `/metrics` and `/slowest_rooms`.

use std::{
    convert::Infallible,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use plexus_api::app::{Page, Pages};
use plexus_replication::{Readiness, Replica, Tasks};
use tokio::sync::Semaphore;

use crate::{
    metrics::Metrics,
    role::{Leading, SlowestRooms},
};

/// Most connections of scrapers at a time.
const SCRAPERS_MAX: usize = 16;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// The version of the format is part of its type.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the pages tell of.
#[derive(Clone)]
pub(crate) struct Pulse {
    /// The log as this process sees it.
    pub(crate) replica: Replica,
    /// Whether its master leads, if it has one.
    pub(crate) leading: Option<Leading>,
    /// Which rooms keep its master busy, if it has one.
    pub(crate) slowest_rooms: Option<SlowestRooms>,
    /// What it has counted.
    pub(crate) metrics: Metrics,
    /// Whether it has been asked to stop.
    pub(crate) stopping: Arc<AtomicBool>,
}

impl std::fmt::Debug for Pulse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pulse")
            .field("replica", &self.replica)
            .finish_non_exhaustive()
    }
}

/// The pages of a process.
pub(crate) fn pages(pulse: Pulse) -> Pages {
    Arc::new(move |path| match path {
        // Whoever can answer at all is alive.
        "/health" => Some(Page {
            status: 200,
            content_type: TEXT,
            body: "ok\n".to_owned(),
        }),
        "/ready" => Some(ready(&pulse)),
        "/metrics" => Some(Page {
            status: 200,
            content_type: METRICS,
            body: pulse.metrics.render(pulse.replica.store()),
        }),
        "/slowest_rooms" => pulse.slowest_rooms.as_ref().map(|slowest| Page {
            status: 200,
            content_type: JSON,
            body: format!("{}\n", serde_json::json!({"rooms": slowest()})),
        }),
        _ => None,
    })
}

/// Ready means no fault of one's own: a process whose master is away still serves reads.
fn ready(pulse: &Pulse) -> Page {
    let reason = match pulse.replica.readiness() {
        Readiness::Faulty(fault) => Some(fault.to_string()),
        Readiness::Ready if pulse.stopping.load(Ordering::Relaxed) => Some("stopping".to_owned()),
        Readiness::Ready => None,
    };
    let body = serde_json::json!({
        "ready": reason.is_none(),
        "reason": reason,
        "position": pulse.replica.position().to_string(),
        "leading": pulse.leading.as_ref().map(|leading| leading()),
    });
    Page {
        status: if reason.is_none() { 200 } else { 503 },
        content_type: JSON,
        body: format!("{body}\n"),
    }
}

/// Serves `/metrics`, and only that, on a listener of its own: monitoring need not reach the internal one.
pub(crate) async fn serve_metrics(listener: TcpListener, pages: Pages, tasks: Tasks) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "metrics.address cannot be served"),
    };
    let places = Arc::new(Semaphore::new(SCRAPERS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a scraper could not connect");
                // Out of file descriptors, usually: trying again at once would only keep the processor busy.
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                continue;
            }
        };
        let pages = Arc::clone(&pages);
        tasks.spawn(async move {
            let answer =
                service_fn(move |request| std::future::ready(Ok::<_, Infallible>(metrics_page(&pages, &request))));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), answer);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a scraper's connection ended");
            }
            drop(place);
        });
    }
}

fn metrics_page(pages: &Pages, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let page = if path == "/metrics" { pages(path) } else { None };
    let page = page.unwrap_or(Page {
        status: 404,
        content_type: TEXT,
        body: "only /metrics is here\n".to_owned(),
    });
    let response = Response::builder()
        .status(page.status)
        .header(http::header::CONTENT_TYPE, page.content_type);
    let response = response.body(Full::from(page.body));
    response.expect("the status and the type are constants that HTTP allows")
}
