//! `PUT /room_keys/version/{version}`.

use plexus_service::e2e::backup::update_version;
use ruma::api::client::backup::update_backup_version::v3::Request;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("update_backup_version", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let version = call.path.first().map(String::as_str).unwrap_or_default();
    update_version(call.ctx(), call.requester()?, version, &parse_body(&call)?).await?;
    Ok(json_reply("{}"))
}
