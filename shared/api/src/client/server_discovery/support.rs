//! `GET /.well-known/matrix/support`: whom users ask for help.

use ::http::Method;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::own(
    "well_known_support",
    || Method::GET,
    &["/.well-known/matrix/support"],
    Auth::None,
    |call| Box::pin(async move { handle(&call) }),
);

fn handle(call: &Call) -> Result<Reply, Error> {
    let discovery = &call.ctx().config.accounts.discovery;
    let mut contact = json!({"role": "m.role.admin"});
    let mut reply = json!({});
    if let Some(email) = &discovery.support_email {
        contact["email_address"] = email.as_str().into();
    }
    if let Some(user_id) = &discovery.support_user_id {
        contact["matrix_id"] = user_id.as_str().into();
    }
    if discovery.support_email.is_some() || discovery.support_user_id.is_some() {
        reply["contacts"] = json!([contact]);
    }
    if let Some(page) = &discovery.support_page {
        reply["support_page"] = page.as_str().into();
    }
    if reply == json!({}) {
        return Err(Error::not_found("the server names nobody to ask for help"));
    }
    Ok(json_reply(reply.to_string()))
}
