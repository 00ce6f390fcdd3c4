//! `POST /_matrix/federation/v1/user/keys/claim`: one-time keys of devices of this server's users.

use ::http::Method;
use plexus_service::{e2e::claim::Wanted, federation::devices::claim_keys_for_server};
use serde::Deserialize;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

/// Thousands of devices.
const BODY_CAP: usize = 1024 * 1024;

pub(in crate::federation) const ROUTE: Route = Route {
    body_cap: BODY_CAP,
    ..Route::of_federation(
        "federation_claim_keys",
        || Method::POST,
        &["/_matrix/federation/v1/user/keys/claim"],
        Auth::Server,
        |call| Box::pin(handle(call)),
    )
};

#[derive(Debug, Deserialize)]
struct Body {
    one_time_keys: Wanted,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    let keys = claim_keys_for_server(call.ctx(), body.one_time_keys).await?;
    Ok(json_reply(json!({"one_time_keys": keys}).to_string()))
}
