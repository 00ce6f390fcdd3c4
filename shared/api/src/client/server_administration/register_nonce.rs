//! `GET /_synapse/admin/v1/register`: a nonce for [`register`](super::register).

use ::http::Method;
use plexus_service::users::admin_register::give_nonce;
use serde_json::json;

use super::register::PATH;
use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Family, Route},
};

pub(in crate::client) const ROUTE: Route = Route {
    family: Family::Admin,
    ..Route::own(
        "admin_register_nonce",
        || Method::GET,
        &[PATH],
        Auth::None,
        |call| Box::pin(handle(call)),
    )
};

async fn handle(call: Call) -> Result<Reply, Error> {
    Ok(json_reply(json!({"nonce": give_nonce(call.ctx()).await?}).to_string()))
}
