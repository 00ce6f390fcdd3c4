//! `GET /register/m.login.registration_token/validity`: whether an account can be made with a token.

use crate::{
    call::Call,
    error::Error,
    extract::query::Query,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};
use plexus_service::users::uia::is_registration_token;
use ruma::api::client::account::check_registration_token_validity::v1::Request;
use serde_json::json;

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("registration_token", Auth::None, |call| {
    Box::pin(async move { handle(&call) })
});

fn handle(call: &Call) -> Result<Reply, Error> {
    let query = Query::parse(call.query())?;
    let token = query
        .get("token")
        .ok_or_else(|| Error::missing_param("missing `token`"))?;
    let valid = is_registration_token(call.ctx(), token);
    Ok(json_reply(json!({"valid": valid}).to_string()))
}
