//! `GET /login`: the ways to log in.

use ruma::api::client::session::get_login_types::v3::Request;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("login_flows", Auth::None, |call| Box::pin(async move { handle(&call) }));

#[expect(clippy::unnecessary_wraps, reason = "it is a handler")]
fn handle(call: &Call) -> Result<Reply, Error> {
    let mut flows = vec![json!({"type": "m.login.password"})];
    if call.ctx().config.accounts.login_tokens {
        flows.push(json!({"type": "m.login.token", "get_login_token": true}));
    }
    Ok(json_reply(json!({"flows": flows}).to_string()))
}
