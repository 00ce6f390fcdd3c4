//! `POST /login`: a session for a password, or for a login token.

use plexus_service::users::{
    login::{Identifier, log_in_with_password, log_in_with_token},
    sessions::DeviceWish,
};
use ruma::{OwnedDeviceId, api::client::session::login::v3::Request};
use serde::Deserialize;

use super::session_reply::session_reply;
use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("login", Auth::None, |call| Box::pin(handle(call)));

/// ruma's type panics on a body without `type`.
#[derive(Deserialize)]
struct Body {
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    named: Identifier,
    password: Option<String>,
    token: Option<String>,
    device_id: Option<OwnedDeviceId>,
    initial_device_display_name: Option<String>,
    #[serde(default)]
    refresh_token: bool,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    let wish = DeviceWish {
        device_id: body.device_id,
        display_name: body.initial_device_display_name,
        refresh: body.refresh_token,
    };
    let missing = |name: &str| Error::missing_param(format!("missing field `{name}`"));
    let (user_id, session) = match body.kind.as_str() {
        "m.login.password" => {
            let password = body.password.ok_or_else(|| missing("password"))?;
            log_in_with_password(call.ctx(), &body.named, password, wish).await?
        }
        "m.login.token" => {
            let token = body.token.ok_or_else(|| missing("token"))?;
            log_in_with_token(call.ctx(), &token, wish).await?
        }
        _ => return Err(Error::unknown_login_type()),
    };
    Ok(json_reply(session_reply(&user_id, Some(&session)).to_string()))
}
