//! `GET /admin/suspend/{userId}`: whether an account is suspended.

use plexus_service::users::accounts::{Measure, get_measure};
use ruma::{OwnedUserId, api::client::admin::is_user_suspended::v1::Request};
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("is_suspended", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let user_id: OwnedUserId = parse_path(&call, 0, "the user id")?;
    let on = get_measure(call.ctx(), call.requester()?, &user_id, Measure::Suspend).await?;
    Ok(json_reply(json!({"suspended": on}).to_string()))
}
