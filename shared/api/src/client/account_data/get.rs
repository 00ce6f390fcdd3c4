//! `GET /user/{userId}/account_data/{type}`.

use plexus_service::users::account_data::get_account_data;
use ruma::{OwnedUserId, api::client::config::get_global_account_data::v3::Request};

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("get_account_data", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let user_id: OwnedUserId = parse_path(&call, 0, "the user id")?;
    let kind = call.path.get(1).map(String::as_str).unwrap_or_default();
    let content = get_account_data(call.ctx(), call.requester()?, &user_id, None, kind).await?;
    Ok(json_reply(String::from(Box::<str>::from(content))))
}
