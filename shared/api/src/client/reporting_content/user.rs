//! `POST /users/{userId}/report`.

use plexus_service::reports::report_user;
use ruma::{OwnedUserId, api::client::reporting::report_user::v3::Request};

use super::Body;
use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("report_user", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let user_id: OwnedUserId = parse_path(&call, 0, "the user id")?;
    let body: Body = parse_body(&call)?;
    report_user(call.ctx(), call.requester()?, &user_id, body.into()).await?;
    Ok(json_reply("{}"))
}
