//! `GET /presence/{userId}/status`.

use plexus_service::presence::get_presence;
use ruma::{OwnedUserId, api::client::presence::get_presence::v3::Request};

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("presence_get", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let user_id: OwnedUserId = parse_path(&call, 0, "the user id")?;
    Ok(json_reply(get_presence(call.ctx(), call.requester()?, &user_id).await?))
}
