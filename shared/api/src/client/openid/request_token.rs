//! `POST /user/{userId}/openid/request_token`: a token that shows another service who the user is.

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};
use plexus_service::users::open_id::give_token;
use ruma::{OwnedUserId, api::client::account::request_openid_token::v3::Request};
use serde_json::json;

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("openid_token", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let user_id: OwnedUserId = parse_path(&call, 0, "the user id")?;
    let (token, ttl_ms) = give_token(call.ctx(), call.requester()?, &user_id).await?;
    let reply = json!({
        "access_token": token,
        "token_type": "Bearer",
        "matrix_server_name": call.ctx().config.server_name,
        "expires_in": ttl_ms / 1000,
    });
    Ok(json_reply(reply.to_string()))
}
