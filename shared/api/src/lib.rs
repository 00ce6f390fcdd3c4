//! HTTP: the route table, what comes in, what goes out, and who handles it.
//!
//! One table, [`routes::ROUTES`], drives matching, authentication, body limits, forwarding, metrics and the printed proxy maps. A handler takes ruma's
//! typed request, calls one function of `plexus-service` and answers ruma's typed response; it knows neither actix nor the process's role.

pub mod app;
pub mod call;
pub mod client;
mod dispatch;
pub mod error;
pub mod extract;
pub mod federation;
pub mod forward;
pub mod http;
pub mod metrics;
pub mod routes;
pub mod serve;
#[cfg(test)]
mod testing;

pub use app::App;
pub use serve::{Listeners, Servers, serve};
