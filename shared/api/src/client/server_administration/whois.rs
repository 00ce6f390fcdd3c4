//! `GET /admin/whois/{userId}`: where a user's devices were seen.

use plexus_service::users::devices::who_is;
use ruma::{OwnedUserId, api::client::admin::get_user_info::v3::Request};

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("whois", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let user_id: OwnedUserId = parse_path(&call, 0, "the user id")?;
    let shown = who_is(call.ctx(), call.requester()?, &user_id).await?;
    Ok(json_reply(shown.to_string()))
}
