//! `GET /_matrix/federation/v1/user/devices/{userId}`: all devices of a user of this server.

use ::http::Method;
use plexus_service::federation::devices::get_devices_for_server;
use ruma::OwnedUserId;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "federation_devices",
    || Method::GET,
    &["/_matrix/federation/v1/user/devices/{user_id}"],
    Auth::Server,
    |call| Box::pin(handle(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    let user_id: OwnedUserId = parse_path(&call, 0, "userId")?;
    Ok(json_reply(
        get_devices_for_server(call.ctx(), &user_id).await?.to_string(),
    ))
}
