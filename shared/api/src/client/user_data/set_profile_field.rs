//! `PUT /profile/{userId}/{keyName}`: sets a field, `displayname` and `avatar_url` among them.

use std::collections::BTreeMap;

use plexus_service::users::profiles::set_profile_field;
use ruma::{OwnedUserId, api::client::profile::set_profile_field::v3::Request};
use serde_json::value::RawValue;

use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("set_profile_field", Auth::Guest, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let user_id: OwnedUserId = parse_path(&call, 0, "the user id")?;
    let field = call.path.get(1).map(String::as_str).unwrap_or_default();
    let body: BTreeMap<String, Box<RawValue>> = parse_body(&call)?;
    let is_old = matches!(field, "displayname" | "avatar_url");
    // Clients take the two old fields away by leaving them out, or by null or an empty text.
    let value = body
        .get(field)
        .filter(|value| !(is_old && matches!(value.get(), "null" | "\"\"")));
    if value.is_none() && !is_old {
        return Err(Error::missing_param(format!("missing field `{field}`")));
    }
    set_profile_field(call.ctx(), call.requester()?, &user_id, field, value.map(AsRef::as_ref)).await?;
    Ok(json_reply("{}"))
}
