//! `POST /media/v1/create`: an id for an upload to come.

use plexus_service::media::upload::reserve;
use ruma::api::client::media::create_mxc_uri::v1::Request;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Family, Route},
};

pub(in crate::client) const ROUTE: Route = Route {
    family: Family::Media,
    ..Route::of::<Request>("create_media_id", Auth::User, |call| Box::pin(handle(call)))
};

async fn handle(call: Call) -> Result<Reply, Error> {
    let (uri, expires_ms) = reserve(call.ctx(), call.requester()?).await?;
    Ok(json_reply(
        json!({"content_uri": uri, "unused_expires_at": expires_ms}).to_string(),
    ))
}
