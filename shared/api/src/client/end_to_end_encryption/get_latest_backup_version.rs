//! `GET /room_keys/version`: the current one.

use plexus_service::e2e::backup::get_version;
use ruma::api::client::backup::get_latest_backup_info::v3::Request;

use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("get_latest_backup_version", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let info = get_version(call.ctx(), call.requester()?, None).await?;
    Ok(json_reply(serde_json::to_vec(&info).map_err(Error::internal)?))
}
