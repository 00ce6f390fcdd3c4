//! `DELETE /devices/{deviceId}`: the end of one of them.

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};
use plexus_service::users::devices::delete_devices;
use ruma::api::client::device::delete_device::v3::Request;
use serde::Deserialize;
use serde_json::Value;

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("delete_device", Auth::User, |call| Box::pin(handle(call)));

#[derive(Deserialize)]
struct Body {
    auth: Option<Value>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    let device_id = call.path.first().cloned().unwrap_or_default();
    delete_devices(call.ctx(), call.requester()?, body.auth.as_ref(), vec![device_id]).await?;
    Ok(json_reply("{}"))
}
