//! `POST /login/get_token`: a token that logs another client in.

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};
use plexus_service::users::login::give_login_token;
use ruma::api::client::session::get_login_token::v1::Request;
use serde::Deserialize;
use serde_json::{Value, json};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("login_token", Auth::User, |call| Box::pin(handle(call)));

#[derive(Deserialize)]
struct Body {
    auth: Option<Value>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    let (token, ttl_ms) = give_login_token(call.ctx(), call.requester()?, body.auth.as_ref()).await?;
    Ok(json_reply(
        json!({"login_token": token, "expires_in_ms": ttl_ms}).to_string(),
    ))
}
