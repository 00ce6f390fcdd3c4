//! `POST /keys/signatures/upload`.

use plexus_service::e2e::signatures::upload_signatures;
use ruma::api::client::keys::upload_signatures::v3::Request;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

/// Hundreds of keys.
const BODY_CAP: usize = 2 * 1024 * 1024;

pub(in crate::client) const ROUTE: Route = Route {
    body_cap: BODY_CAP,
    ..Route::of::<Request>("upload_signatures", Auth::User, |call| Box::pin(handle(call)))
};

async fn handle(call: Call) -> Result<Reply, Error> {
    let failures = upload_signatures(call.ctx(), call.requester()?, parse_body(&call)?).await?;
    Ok(json_reply(json!({"failures": failures}).to_string()))
}
