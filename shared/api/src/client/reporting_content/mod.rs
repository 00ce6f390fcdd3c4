//! Reporting content.

pub(super) mod event;
pub(super) mod room;
pub(super) mod user;

use plexus_service::reports::Complaint;
use serde::Deserialize;

/// What is said about it. ruma wants a reason of clients who have none.
#[derive(Deserialize)]
struct Body {
    reason: Option<String>,
    score: Option<i64>,
}

impl From<Body> for Complaint {
    fn from(body: Body) -> Self {
        let Body { reason, score } = body;
        Self { reason, score }
    }
}
