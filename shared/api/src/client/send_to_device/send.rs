//! `PUT /sendToDevice/{eventType}/{txnId}`.

use plexus_service::e2e::to_device::{Messages, send_to_device};
use ruma::api::client::to_device::send_event_to_device::v3::Request;
use serde::Deserialize;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

/// A room's key for thousands of devices.
const BODY_CAP: usize = 4 * 1024 * 1024;

pub(in crate::client) const ROUTE: Route = Route {
    body_cap: BODY_CAP,
    ..Route::of::<Request>("send_to_device", Auth::Guest, |call| Box::pin(handle(call)))
};

#[derive(Deserialize)]
struct Body {
    messages: Messages,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    let segment = |index: usize| call.path.get(index).map(String::as_str).unwrap_or_default();
    send_to_device(call.ctx(), call.requester()?, segment(0), segment(1), body.messages).await?;
    Ok(json_reply("{}"))
}
