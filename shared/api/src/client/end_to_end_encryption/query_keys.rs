//! `POST /keys/query`.

use std::collections::BTreeMap;

use plexus_service::e2e::query::query_keys;
use ruma::{OwnedUserId, api::client::keys::get_keys::v3::Request};
use serde::Deserialize;
use serde_json::Value;

use super::wait;
use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

/// Thousands of users.
const BODY_CAP: usize = 1024 * 1024;

pub(in crate::client) const ROUTE: Route = Route {
    body_cap: BODY_CAP,
    ..Route::of::<Request>("query_keys", Auth::Guest, |call| Box::pin(handle(call)))
};

#[derive(Deserialize)]
struct Body {
    device_keys: BTreeMap<OwnedUserId, Value>,
    /// How long other servers are waited for, in milliseconds.
    timeout: Option<u64>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    // Old clients ask for all devices of a user with an object or null.
    let devices = |wanted| serde_json::from_value(wanted).unwrap_or_default();
    let wanted = body
        .device_keys
        .into_iter()
        .map(|(user, wanted)| (user, devices(wanted)))
        .collect();
    let known = query_keys(call.ctx(), call.requester()?, wanted, wait(body.timeout)).await?;
    Ok(json_reply(serde_json::to_vec(&known).map_err(Error::internal)?))
}
