//! `POST /keys/upload`, and the same with the device's id, as it was once.

use plexus_service::e2e::upload::upload_keys;
use ruma::api::client::keys::upload_keys::v3::Request;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

/// A thousand keys.
const BODY_CAP: usize = 1024 * 1024;

pub(in crate::client) const ROUTE: Route = Route {
    body_cap: BODY_CAP,
    more_paths: &[
        "/_matrix/client/v3/keys/upload/{device_id}",
        "/_matrix/client/r0/keys/upload/{device_id}",
    ],
    ..Route::of::<Request>("upload_keys", Auth::Guest, |call| Box::pin(handle(call)))
};

async fn handle(call: Call) -> Result<Reply, Error> {
    let requester = call.requester()?;
    if call
        .path
        .first()
        .is_some_and(|device| device != requester.device_id.as_str())
    {
        return Err(Error::invalid_param("the device is not that of the access token"));
    }
    let counts = upload_keys(call.ctx(), requester, parse_body(&call)?).await?;
    Ok(json_reply(json!({"one_time_key_counts": counts.one_time}).to_string()))
}
