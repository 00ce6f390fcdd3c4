//! `PUT /admin/lock/{userId}`: locks an account, or ends that.

use plexus_service::users::accounts::{Measure, set_measure};
use ruma::{OwnedUserId, api::client::admin::lock_user::v1::Request};
use serde::Deserialize;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("lock", Auth::User, |call| Box::pin(handle(call)));

#[derive(Deserialize)]
struct Body {
    locked: bool,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let user_id: OwnedUserId = parse_path(&call, 0, "the user id")?;
    let Body { locked } = parse_body(&call)?;
    set_measure(call.ctx(), call.requester()?, &user_id, Measure::Lock, locked).await?;
    Ok(json_reply(json!({"locked": locked}).to_string()))
}
