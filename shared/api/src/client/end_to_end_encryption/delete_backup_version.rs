//! `DELETE /room_keys/version/{version}`.

use plexus_service::e2e::backup::delete_version;
use ruma::api::client::backup::delete_backup_version::v3::Request;

use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("delete_backup_version", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let version = call.path.first().map(String::as_str).unwrap_or_default();
    delete_version(call.ctx(), call.requester()?, version).await?;
    Ok(json_reply("{}"))
}
