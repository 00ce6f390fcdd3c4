//! `POST /account/deactivate`: the end of an account.

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};
use plexus_service::users::accounts::deactivate;
use ruma::api::client::account::deactivate::v3::Request;
use serde::Deserialize;
use serde_json::Value;

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("deactivate", Auth::User, |call| Box::pin(handle(call)));

#[derive(Deserialize)]
struct Body {
    auth: Option<Value>,
    #[serde(default)]
    erase: bool,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    deactivate(call.ctx(), call.requester()?, body.auth.as_ref(), body.erase).await?;
    // There was nothing bound at an identity server, so nothing is left there.
    Ok(json_reply(r#"{"id_server_unbind_result":"success"}"#))
}
