//! `/user/{userId}/rooms/{roomId}/tags`: the tags of a room, and one of them.

use std::collections::BTreeMap;

use plexus_service::users::tags::{change_tag, get_tags};
use ruma::{
    OwnedRoomId, OwnedUserId,
    api::client::tag::{create_tag, delete_tag, get_tags as list_tags},
};
use serde_json::value::RawValue;

use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const LIST: Route =
    Route::of::<list_tags::v3::Request>("get_tags", Auth::User, |call| Box::pin(list(call)));
pub(in crate::client) const SET: Route =
    Route::of::<create_tag::v3::Request>("set_tag", Auth::User, |call| Box::pin(set(call)));
pub(in crate::client) const DELETE: Route =
    Route::of::<delete_tag::v3::Request>("delete_tag", Auth::User, |call| Box::pin(delete(call)));

async fn list(call: Call) -> Result<Reply, Error> {
    let (user_id, room_id) = ids(&call)?;
    let tags = get_tags(call.ctx(), call.requester()?, &user_id, &room_id).await?;
    let body = BTreeMap::from([("tags", tags)]);
    Ok(json_reply(serde_json::to_vec(&body).map_err(Error::internal)?))
}

async fn set(call: Call) -> Result<Reply, Error> {
    let content: Box<RawValue> = parse_body(&call)?;
    change(&call, Some(&content)).await
}

async fn delete(call: Call) -> Result<Reply, Error> {
    change(&call, None).await
}

async fn change(call: &Call, content: Option<&RawValue>) -> Result<Reply, Error> {
    let (user_id, room_id) = ids(call)?;
    let tag = call.path.get(2).map(String::as_str).unwrap_or_default();
    change_tag(call.ctx(), call.requester()?, &user_id, &room_id, tag, content).await?;
    Ok(json_reply("{}"))
}

fn ids(call: &Call) -> Result<(OwnedUserId, OwnedRoomId), Error> {
    Ok((parse_path(call, 0, "the user id")?, parse_path(call, 1, "the room id")?))
}
