//! `GET /.well-known/matrix/server`: where other servers connect.

use ::http::Method;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "well_known_server",
    || Method::GET,
    &["/.well-known/matrix/server"],
    Auth::None,
    |call| Box::pin(async move { handle(&call) }),
);

fn handle(call: &Call) -> Result<Reply, Error> {
    let server = call.ctx().config.accounts.discovery.federation_server.as_ref();
    let server = server.ok_or_else(|| Error::not_found("the server does not say where others connect"))?;
    Ok(json_reply(json!({"m.server": server}).to_string()))
}
