//! `POST /login`: a session for a password.

use plexus_service::users::{
    login::{Identifier, log_in_with_password},
    sessions::DeviceWish,
};
use ruma::{OwnedDeviceId, api::client::session::login::v3::Request};
use serde::Deserialize;
use serde_json::json;

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
    device_id: Option<OwnedDeviceId>,
    initial_device_display_name: Option<String>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    if body.kind != "m.login.password" {
        return Err(Error::unknown_login_type());
    }
    let password = body
        .password
        .ok_or_else(|| Error::missing_param("missing field `password`"))?;
    let wish = DeviceWish {
        device_id: body.device_id,
        display_name: body.initial_device_display_name,
    };
    let (user_id, session) = log_in_with_password(call.ctx(), &body.named, password, wish).await?;
    let reply = json!({
        "user_id": user_id,
        "access_token": session.access_token,
        "device_id": session.device_id,
        "home_server": user_id.server_name(),
    });
    Ok(json_reply(reply.to_string()))
}
