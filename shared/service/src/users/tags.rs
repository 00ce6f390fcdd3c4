//! Tags that a user gives to rooms. They are account data of type `m.tag`, changed one at a time.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#room-tagging>

use plexus_proto::{self as proto, command::Kind};
use ruma::{RoomId, UserId};
use serde::Deserialize;
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

use super::account_data::require_self;
use crate::{Ctx, Requester, ServiceError, error::Refusal, ids::new_command};

/// Most bytes of a tag's name, by specification.
const NAME_BYTES_MAX: usize = 255;
/// Most bytes of what a tag says.
const TAG_BYTES_MAX: usize = 8 * 1024;

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    tags: Option<Box<RawValue>>,
}

/// The tags of a room, as a JSON object.
pub async fn get_tags(
    ctx: &Ctx,
    requester: &Requester,
    user_id: &UserId,
    room_id: &RoomId,
) -> Result<Box<RawValue>, ServiceError> {
    require_self(requester, user_id)?;
    let entry = match ctx.store.room(room_id).await? {
        Some(room) => ctx.store.account_data(requester.user, Some(room.nid), "m.tag").await?,
        None => None,
    };
    // A client may have set the type itself, to anything.
    let content = entry.and_then(|entry| serde_json::from_str::<Content>(entry.content.get()).ok());
    let tags = content.and_then(|content| content.tags);
    match tags.filter(|tags| tags.get().starts_with('{')) {
        Some(tags) => Ok(tags),
        None => to_raw_value(&Value::Object(serde_json::Map::new())).map_err(ServiceError::internal),
    }
}

/// Tags a room, or takes a tag away.
pub async fn change_tag(
    ctx: &Ctx,
    requester: &Requester,
    user_id: &UserId,
    room_id: &RoomId,
    tag: &str,
    content: Option<&RawValue>,
) -> Result<(), ServiceError> {
    require_self(requester, user_id)?;
    if tag.is_empty() || tag.len() > NAME_BYTES_MAX {
        return Err(ServiceError::invalid_param("a tag has 1 to 255 bytes"));
    }
    if let Some(content) = content {
        check(content)?;
    }
    let command = proto::ChangeTag {
        user_id: user_id.to_string(),
        room_id: room_id.to_string(),
        tag: tag.to_owned(),
        content: content.map(|content| content.get().to_owned().into()),
    };
    ctx.replica.run(new_command(Kind::ChangeTag(command))).await?;
    Ok(())
}

fn check(content: &RawValue) -> Result<(), ServiceError> {
    if content.get().len() > TAG_BYTES_MAX {
        let message = format!("a tag has at most {TAG_BYTES_MAX} bytes");
        return Err(ServiceError::refused(Refusal::TooLarge, message));
    }
    let content: Value = serde_json::from_str(content.get()).map_err(ServiceError::bad_json)?;
    match content.get("order") {
        None => Ok(()),
        Some(order) if order.as_f64().is_some_and(|order| (0.0..=1.0).contains(&order)) => Ok(()),
        Some(_) => Err(ServiceError::bad_json("`order` is no number between 0 and 1")),
    }
}
