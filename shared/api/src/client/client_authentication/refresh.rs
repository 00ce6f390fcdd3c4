//! `POST /refresh`: the next access token.

use plexus_service::users::sessions::refresh_session;
use ruma::api::client::session::refresh_token::v3::Request;
use serde::Deserialize;
use serde_json::json;

use super::session_reply::add_tokens;
use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("refresh", Auth::None, |call| Box::pin(handle(call)));

#[derive(Deserialize)]
struct Body {
    refresh_token: String,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    let tokens = refresh_session(call.ctx(), &body.refresh_token).await?;
    let mut reply = json!({});
    add_tokens(&mut reply, &tokens);
    Ok(json_reply(reply.to_string()))
}
