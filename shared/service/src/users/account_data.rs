//! Account data: what a user keeps for himself, in a room or in none.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#client-config>

use plexus_proto::{self as proto, command::Kind};
use ruma::{RoomId, UserId};
use serde_json::value::{RawValue, to_raw_value};

use crate::{Ctx, Requester, ServiceError, error::Refusal, ids::new_command, push::rules};

/// What the server itself keeps among account data, and changes by other endpoints.
const SERVER_CONTROLLED: [&str; 2] = ["m.fully_read", rules::KIND];
/// Most bytes of a type.
const KIND_BYTES_MAX: usize = 255;
/// Most bytes of the content of one piece.
pub const CONTENT_BYTES_MAX: usize = 128 * 1024;

/// Sets a piece of account data, as it is.
pub async fn set_account_data(
    ctx: &Ctx,
    requester: &Requester,
    user_id: &UserId,
    room_id: Option<&RoomId>,
    kind: &str,
    content: &RawValue,
) -> Result<(), ServiceError> {
    require_self(requester, user_id)?;
    if SERVER_CONTROLLED.contains(&kind) {
        let message = format!("{kind} is not set by this endpoint");
        return Err(ServiceError::refused(Refusal::ServerControlled, message));
    }
    if kind.is_empty() || kind.len() > KIND_BYTES_MAX {
        return Err(ServiceError::invalid_param("the type is empty or too long"));
    }
    if content.get().len() > CONTENT_BYTES_MAX {
        let message = format!("account data has at most {CONTENT_BYTES_MAX} bytes");
        return Err(ServiceError::refused(Refusal::TooLarge, message));
    }
    let command = proto::SetAccountData {
        user_id: user_id.to_string(),
        room_id: room_id.map(ToString::to_string),
        kind: kind.to_owned(),
        content: content.get().to_owned().into(),
    };
    ctx.replica.run(new_command(Kind::SetAccountData(command))).await?;
    Ok(())
}

/// A piece of account data, as it was set.
pub async fn get_account_data(
    ctx: &Ctx,
    requester: &Requester,
    user_id: &UserId,
    room_id: Option<&RoomId>,
    kind: &str,
) -> Result<Box<RawValue>, ServiceError> {
    require_self(requester, user_id)?;
    let unknown = || ServiceError::not_found("there is no such account data");
    if room_id.is_none() && kind == rules::KIND {
        let rules = rules::of_user(ctx, requester.user, user_id).await?;
        return to_raw_value(&rules.content()).map_err(ServiceError::internal);
    }
    let room = match room_id {
        Some(room_id) => Some(ctx.store.room(room_id).await?.ok_or_else(unknown)?.nid),
        None => None,
    };
    let entry = ctx.store.account_data(requester.user, room, kind).await?;
    entry.map(|entry| entry.content.clone()).ok_or_else(unknown)
}

/// Account data is a user's own.
pub(super) fn require_self(requester: &Requester, user_id: &UserId) -> Result<(), ServiceError> {
    if requester.user_id == user_id {
        return Ok(());
    }
    Err(ServiceError::forbidden("a user's account data is his own"))
}
