//! `POST /_synapse/admin/v1/register`: an account for who knows the shared secret.

use ::http::Method;
use plexus_service::users::admin_register::{AdminRegistration, register_with_secret};
use serde::Deserialize;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Family, Route},
};

pub(super) const PATH: &str = "/_synapse/admin/v1/register";

pub(in crate::client) const ROUTE: Route = Route {
    family: Family::Admin,
    ..Route::own(
        "admin_register",
        || Method::POST,
        &[PATH],
        Auth::None,
        |call| Box::pin(handle(call)),
    )
};

#[derive(Deserialize)]
struct Body {
    nonce: String,
    username: String,
    password: String,
    displayname: Option<String>,
    #[serde(default)]
    admin: bool,
    user_type: Option<String>,
    mac: String,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    let registration = AdminRegistration {
        nonce: body.nonce,
        username: body.username,
        password: body.password,
        display_name: body.displayname,
        admin: body.admin,
        user_type: body.user_type,
        mac: body.mac,
    };
    let (user_id, session) = register_with_secret(call.ctx(), registration).await?;
    let reply = json!({
        "user_id": user_id,
        "home_server": user_id.server_name(),
        "access_token": session.tokens.access_token,
        "device_id": session.device_id,
    });
    Ok(json_reply(reply.to_string()))
}
