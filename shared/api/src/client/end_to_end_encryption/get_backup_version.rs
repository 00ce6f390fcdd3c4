//! `GET /room_keys/version/{version}`.

use plexus_service::e2e::backup::get_version;
use ruma::api::client::backup::get_backup_info::v3::Request;

use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("get_backup_version", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let version = call.path.first().map(String::as_str);
    let info = get_version(call.ctx(), call.requester()?, version).await?;
    Ok(json_reply(serde_json::to_vec(&info).map_err(Error::internal)?))
}
