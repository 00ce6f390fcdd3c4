//! `GET /devices/{deviceId}`: one of them.

use plexus_service::users::devices::get_device;
use ruma::{DeviceId, api::client::device::get_device::v3::Request};

use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("device", Auth::Guest, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let device_id: &DeviceId = call.path.first().map(String::as_str).unwrap_or_default().into();
    let device = get_device(call.ctx(), call.requester()?, device_id).await?;
    Ok(json_reply(device.to_string()))
}
