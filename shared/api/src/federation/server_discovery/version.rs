//! `GET /_matrix/federation/v1/version`: which program this is.

use ::http::Method;
use serde_json::json;

use crate::{
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "federation_version",
    || Method::GET,
    &["/_matrix/federation/v1/version"],
    Auth::None,
    |_| Box::pin(async { handle() }),
);

#[expect(clippy::unnecessary_wraps, reason = "a handler may fail")]
fn handle() -> Result<Reply, Error> {
    let server = json!({"name": "Plexus", "version": env!("CARGO_PKG_VERSION")});
    Ok(json_reply(json!({"server": server}).to_string()))
}
