//! `POST /room_keys/version`.

use plexus_service::e2e::backup::create_version;
use ruma::api::client::backup::create_backup_version::v3::Request;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("create_backup_version", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let version = create_version(call.ctx(), call.requester()?, &parse_body(&call)?).await?;
    Ok(json_reply(json!({"version": version}).to_string()))
}
