//! `POST /_matrix/federation/v1/user/keys/query`: keys of users of this server and their devices.

use std::collections::BTreeMap;

use ::http::Method;
use plexus_service::federation::devices::query_keys_for_server;
use ruma::OwnedUserId;
use serde::Deserialize;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

/// Thousands of users.
const BODY_CAP: usize = 1024 * 1024;

pub(in crate::federation) const ROUTE: Route = Route {
    body_cap: BODY_CAP,
    ..Route::of_federation(
        "federation_query_keys",
        || Method::POST,
        &["/_matrix/federation/v1/user/keys/query"],
        Auth::Server,
        |call| Box::pin(handle(call)),
    )
};

#[derive(Debug, Deserialize)]
struct Body {
    device_keys: BTreeMap<OwnedUserId, Option<Vec<String>>>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    let wanted = body.device_keys.into_iter();
    let wanted = wanted
        .map(|(user, devices)| (user, devices.unwrap_or_default()))
        .collect();
    Ok(json_reply(query_keys_for_server(call.ctx(), wanted).await?.to_string()))
}
