//! `POST /account/password`: another password.

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};
use plexus_service::users::accounts::change_password;
use ruma::api::client::account::change_password::v3::Request;
use serde::Deserialize;
use serde_json::Value;

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("change_password", Auth::User, |call| Box::pin(handle(call)));

#[derive(Deserialize)]
struct Body {
    auth: Option<Value>,
    /// Not in the first request of some clients, which only asks how to prove who one is.
    new_password: Option<String>,
    #[serde(default = "yes")]
    logout_devices: bool,
}

const fn yes() -> bool {
    true
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let Body {
        auth,
        new_password,
        logout_devices,
    } = parse_body(&call)?;
    let requester = call.requester()?;
    change_password(call.ctx(), requester, auth.as_ref(), new_password, logout_devices).await?;
    Ok(json_reply("{}"))
}
