//! `POST /delete_devices`: the end of some of them.

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};
use plexus_service::users::devices::delete_devices;
use ruma::api::client::device::delete_devices::v3::Request;
use serde::Deserialize;
use serde_json::Value;

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("delete_devices", Auth::User, |call| Box::pin(handle(call)));

#[derive(Deserialize)]
struct Body {
    auth: Option<Value>,
    devices: Vec<String>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    delete_devices(call.ctx(), call.requester()?, body.auth.as_ref(), body.devices).await?;
    Ok(json_reply("{}"))
}
