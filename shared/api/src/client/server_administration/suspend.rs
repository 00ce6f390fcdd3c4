//! `PUT /admin/suspend/{userId}`: suspends an account, or ends that.

use plexus_service::users::accounts::{Measure, set_measure};
use ruma::{OwnedUserId, api::client::admin::suspend_user::v1::Request};
use serde::Deserialize;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("suspend", Auth::User, |call| Box::pin(handle(call)));

#[derive(Deserialize)]
struct Body {
    suspended: bool,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let user_id: OwnedUserId = parse_path(&call, 0, "the user id")?;
    let Body { suspended } = parse_body(&call)?;
    set_measure(call.ctx(), call.requester()?, &user_id, Measure::Suspend, suspended).await?;
    Ok(json_reply(json!({"suspended": suspended}).to_string()))
}
