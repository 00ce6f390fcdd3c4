//! What is taken out of a request: who asks, the body, the typed request.

pub mod auth;
pub mod body;
pub mod json;
pub mod page;
pub mod query;
pub mod request;
pub(crate) mod server;
