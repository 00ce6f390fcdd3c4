//! `GET /admin/lock/{userId}`: whether an account is locked.

use plexus_service::users::accounts::{Measure, get_measure};
use ruma::{OwnedUserId, api::client::admin::is_user_locked::v1::Request};
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("is_locked", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let user_id: OwnedUserId = parse_path(&call, 0, "the user id")?;
    let on = get_measure(call.ctx(), call.requester()?, &user_id, Measure::Lock).await?;
    Ok(json_reply(json!({"locked": on}).to_string()))
}
