//! What the HTTP side of a process is made of.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use plexus_service::Ctx;
use tokio::sync::watch;

use crate::{
    forward::Targets,
    metrics::RouteMetrics,
    routes::{BodyKind, Family, ROUTES, Route, Router},
};

/// A process as its HTTP threads see it. Shared by all of them.
pub struct App {
    pub ctx: Ctx,
    /// What is handled here; the rest is forwarded.
    pub families: Vec<Family>,
    /// Where the rest goes. `None` in one process, which serves everything.
    pub targets: Option<Targets>,
    /// What the internal plane's requests must show.
    pub internal_secret: String,
    /// Pages of the internal listener that are not part of Matrix: `/health`, `/ready`, `/metrics`.
    pub pages: Pages,
    /// Requests being answered now, without long polls, which end by themselves.
    pub(crate) in_flight: AtomicUsize,
    stopping: watch::Sender<bool>,
    pub(crate) router: Router,
    pub(crate) route_metrics: Vec<RouteMetrics>,
    pub(crate) unmatched_metrics: RouteMetrics,
}

/// A page of the internal listener, by path.
pub type Pages = Arc<dyn Fn(&str) -> Option<Page> + Send + Sync>;

/// One answer of [`Pages`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
}

impl App {
    /// A process that serves `families`. Call it after the metrics recorder is installed.
    pub fn new(
        ctx: Ctx,
        families: Vec<Family>,
        targets: Option<Targets>,
        internal_secret: String,
        pages: Pages,
    ) -> Result<Self, matchit::InsertError> {
        Self::with_routes(ctx, families, targets, internal_secret, pages, ROUTES)
    }

    /// A process with another table.
    pub(crate) fn with_routes(
        ctx: Ctx,
        families: Vec<Family>,
        targets: Option<Targets>,
        internal_secret: String,
        pages: Pages,
        routes: &'static [Route],
    ) -> Result<Self, matchit::InsertError> {
        Ok(Self {
            ctx,
            families,
            targets,
            internal_secret,
            pages,
            in_flight: AtomicUsize::new(0),
            stopping: watch::Sender::new(false),
            router: Router::new(routes)?,
            route_metrics: routes.iter().map(RouteMetrics::of).collect(),
            unmatched_metrics: RouteMetrics::unmatched(),
        })
    }

    /// How many requests are being answered now; long polls do not count. A process that stops waits for 0.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// Ends the waits of long polls: they are answered with nothing new. For a process about to stop.
    pub fn stop_waiting(&self) {
        self.stopping.send_replace(true);
    }

    /// Resolves once [`stop_waiting`](Self::stop_waiting) has been called.
    pub(crate) async fn stopped_waiting(&self) {
        let mut stopping = self.stopping.subscribe();
        // The sender lives in self, so that waiting cannot fail.
        let _known = stopping.wait_for(|stopping| *stopping).await;
    }

    /// Most bytes of the body of a route's request.
    pub(crate) fn body_cap(&self, route: &Route) -> usize {
        match route.body {
            BodyKind::Whole => route.body_cap,
            BodyKind::File => usize::try_from(self.ctx.config.media.max_upload_bytes).unwrap_or(usize::MAX),
        }
    }

    /// Whether a route's requests are handled here.
    pub fn serves(&self, route: &Route) -> bool {
        self.families.contains(&route.family)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("families", &self.families)
            .finish_non_exhaustive()
    }
}

/// One request being answered; dropped with its future, whichever way that ends.
pub(crate) struct InFlight<'a>(Option<&'a AtomicUsize>);

impl<'a> InFlight<'a> {
    /// Counts a request of `route`, unless it is a long poll.
    pub(crate) fn count(app: &'a App, route: &Route) -> Self {
        let counter = (route.family != Family::Sync).then_some(&app.in_flight);
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::AcqRel);
        }
        Self(counter)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if let Some(counter) = self.0 {
            counter.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
