//! `POST /keys/device_signing/upload`.

use plexus_service::e2e::cross_signing::upload_signing_keys;
use ruma::api::client::keys::upload_signing_keys::v3::Request;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("upload_signing_keys", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    upload_signing_keys(call.ctx(), call.requester()?, parse_body(&call)?).await?;
    Ok(json_reply("{}"))
}
