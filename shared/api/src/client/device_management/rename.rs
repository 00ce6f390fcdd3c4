//! `PUT /devices/{deviceId}`: another name for one of them.

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};
use plexus_service::users::devices::{get_device, rename_device};
use ruma::{DeviceId, api::client::device::update_device::v3::Request};
use serde::Deserialize;

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("rename_device", Auth::Guest, |call| Box::pin(handle(call)));

#[derive(Deserialize)]
struct Body {
    display_name: Option<String>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let device_id: &DeviceId = call.path.first().map(String::as_str).unwrap_or_default().into();
    let body: Body = parse_body(&call)?;
    let (ctx, requester) = (call.ctx(), call.requester()?);
    // No name leaves the one there is.
    match body.display_name {
        Some(name) => rename_device(ctx, requester, device_id, Some(name)).await?,
        None => drop(get_device(ctx, requester, device_id).await?),
    }
    Ok(json_reply("{}"))
}
