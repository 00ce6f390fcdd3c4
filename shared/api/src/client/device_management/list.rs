//! `GET /devices`: where the user is logged in.

use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};
use plexus_service::users::devices::list_devices;
use ruma::api::client::device::get_devices::v3::Request;
use serde_json::json;

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("devices", Auth::Guest, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let devices = list_devices(call.ctx(), call.requester()?).await?;
    Ok(json_reply(json!({"devices": devices}).to_string()))
}
