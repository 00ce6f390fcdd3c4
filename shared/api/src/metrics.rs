//! Names of the metrics of this crate, and the handles of those that every request touches.

use metrics::{Counter, Histogram, counter, histogram};

use crate::routes::Route;

/// Requests answered here, by route template, method and class of status.
pub const REQUESTS_TOTAL: &str = "plexus_http_requests_total";
/// Time from the request's head to its answer, by route template and method.
pub const REQUEST_SECONDS: &str = "plexus_http_request_seconds";
/// Requests handed to another process, by family and outcome.
pub const FORWARDED_TOTAL: &str = "plexus_http_forwarded_total";

/// What is counted about one route.
#[derive(Debug)]
pub struct RouteMetrics {
    seconds: Histogram,
    by_class: [Counter; CLASSES.len()],
}

const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

impl RouteMetrics {
    /// The handles for a route; made once, as making one takes a lookup by labels.
    pub fn of(route: &Route) -> Self {
        let template = route.all_paths().into_iter().next().unwrap_or_default();
        Self::new(&template, route.method().as_str())
    }

    /// The handles for what no route took.
    pub fn unmatched() -> Self {
        Self::new("none", "any")
    }

    fn new(template: &str, method: &str) -> Self {
        let (template, method) = (template.to_owned(), method.to_owned());
        Self {
            seconds: histogram!(REQUEST_SECONDS, "route" => template.clone(), "method" => method.clone()),
            by_class: CLASSES.map(
                |class| counter!(REQUESTS_TOTAL, "route" => template.clone(), "method" => method.clone(), "status" => class),
            ),
        }
    }

    /// Counts one answer.
    pub fn record(&self, status: u16, seconds: f64) {
        self.seconds.record(seconds);
        let class = usize::from(status / 100).saturating_sub(2).min(CLASSES.len() - 1);
        self.by_class[class].increment(1);
    }
}
