//! `PUT /user/{userId}/account_data/{type}`: keeps an object as it is.

use plexus_service::users::account_data::set_account_data;
use ruma::{OwnedUserId, api::client::config::set_global_account_data::v3::Request};
use serde_json::value::RawValue;

use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("set_account_data", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let user_id: OwnedUserId = parse_path(&call, 0, "the user id")?;
    let kind = call.path.get(1).map(String::as_str).unwrap_or_default();
    let content: Box<RawValue> = parse_body(&call)?;
    set_account_data(call.ctx(), call.requester()?, &user_id, None, kind, &content).await?;
    Ok(json_reply("{}"))
}
