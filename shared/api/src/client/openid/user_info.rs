//! `GET /_matrix/federation/v1/openid/userinfo`: who gave a service a token. Open, as the token is the proof.

use ::http::Method;
use plexus_service::users::open_id::find_user;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::query::Query,
    http::{Reply, json_reply},
    routes::{Auth, Family, Route},
};

pub(in crate::client) const ROUTE: Route = Route {
    family: Family::Federation,
    ..Route::own(
        "openid_user_info",
        || Method::GET,
        &["/_matrix/federation/v1/openid/userinfo"],
        Auth::None,
        |call| Box::pin(handle(call)),
    )
};

async fn handle(call: Call) -> Result<Reply, Error> {
    let query = Query::parse(call.query())?;
    let token = query.get("access_token").ok_or_else(Error::missing_token)?;
    let user_id = find_user(call.ctx(), token).await?;
    Ok(json_reply(json!({"sub": user_id}).to_string()))
}
