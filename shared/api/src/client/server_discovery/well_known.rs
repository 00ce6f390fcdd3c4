//! `GET /.well-known/matrix/client`: where clients of this server connect.

use ::http::Method;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::own(
    "well_known_client",
    || Method::GET,
    &["/.well-known/matrix/client"],
    Auth::None,
    |call| Box::pin(async move { handle(&call) }),
);

fn handle(call: &Call) -> Result<Reply, Error> {
    let url = call.ctx().config.accounts.discovery.public_base_url.as_ref();
    let url = url.ok_or_else(|| Error::not_found("the server does not say where its clients connect"))?;
    Ok(json_reply(json!({"m.homeserver": {"base_url": url}}).to_string()))
}
