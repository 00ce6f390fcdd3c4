//! `GET /_matrix/key/v2/server`: this server's own keys.

use ::http::Method;

use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

/// Older servers name a key, or end the path with a slash: the answer is the same.
pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "server_keys",
    || Method::GET,
    &[
        "/_matrix/key/v2/server",
        "/_matrix/key/v2/server/",
        "/_matrix/key/v2/server/{key_id}",
    ],
    Auth::None,
    |call| Box::pin(async move { handle(&call) }),
);

fn handle(call: &Call) -> Result<Reply, Error> {
    let document = call.ctx().federation.keys().published().map_err(Error::internal)?;
    Ok(json_reply(document.to_string()))
}
