//! `GET /profile/{userId}/{keyName}`: one field, `displayname` and `avatar_url` among them.

use std::collections::BTreeMap;

use plexus_service::users::profiles::get_profile;
use ruma::{OwnedUserId, api::client::profile::get_profile_field::v3::Request};

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("profile_field", Auth::Optional, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let user_id: OwnedUserId = parse_path(&call, 0, "the user id")?;
    let field = call.path.get(1).map(String::as_str).unwrap_or_default();
    let profile = get_profile(call.ctx(), call.requester.as_ref(), &user_id).await?;
    // The two old fields are answered with an empty object where they are not set, as clients have always had it.
    let body = match profile.get(field) {
        Some(value) => serde_json::to_vec(&BTreeMap::from([(field, value)])).map_err(Error::internal)?,
        None if matches!(field, "displayname" | "avatar_url") => b"{}".to_vec(),
        None => return Err(Error::not_found("the profile has no such field")),
    };
    Ok(json_reply(body))
}
