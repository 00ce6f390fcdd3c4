//! `POST /keys/claim`.

use plexus_service::e2e::claim::{Wanted, claim_keys};
use ruma::api::client::keys::claim_keys::v3::Request;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::wait;
use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

/// Thousands of devices.
const BODY_CAP: usize = 1024 * 1024;

pub(in crate::client) const ROUTE: Route = Route {
    body_cap: BODY_CAP,
    ..Route::of::<Request>("claim_keys", Auth::Guest, |call| Box::pin(handle(call)))
};

#[derive(Deserialize)]
struct Body {
    one_time_keys: Wanted,
    /// How long other servers are waited for, in milliseconds.
    timeout: Option<u64>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    let claimed = claim_keys(call.ctx(), body.one_time_keys, wait(body.timeout)).await?;
    let failure = json!({"errcode": "M_UNKNOWN", "error": "the server cannot be asked"});
    let failures: Map<String, Value> = claimed
        .unreachable
        .iter()
        .map(|server| (server.to_string(), failure.clone()))
        .collect();
    let failures = Value::Object(failures);
    let keys = serde_json::to_string(&claimed.one_time_keys).map_err(Error::internal)?;
    Ok(json_reply(format!(
        r#"{{"failures":{failures},"one_time_keys":{keys}}}"#
    )))
}
