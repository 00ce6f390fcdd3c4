//! `GET /media/config`: how large uploads may be.

use std::future::{Ready, ready};

use ruma::api::client::authenticated_media::get_media_config::v1::Request;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Family, Route},
};

pub(in crate::client) const ROUTE: Route = Route {
    family: Family::Media,
    ..Route::of::<Request>("media_config", Auth::User, |call| Box::pin(handle(&call)))
};

/// The same from before there were tokens for everything.
pub(in crate::client) const LEGACY: Route = Route {
    family: Family::Media,
    ..Route::own(
        "legacy_media_config",
        || ::http::Method::GET,
        &[
            "/_matrix/media/v3/config",
            "/_matrix/media/r0/config",
            "/_matrix/media/v1/config",
        ],
        Auth::User,
        |call| Box::pin(handle(&call)),
    )
};

fn handle(call: &Call) -> Ready<Result<Reply, Error>> {
    let max = call.ctx().config.media.max_upload_bytes;
    ready(Ok(json_reply(json!({"m.upload.size": max}).to_string())))
}
