//! Typing notifications.

use std::time::Duration;

use plexus_proto::{self as proto, command::Kind};
use ruma::{RoomId, UserId};

use super::access;
use crate::{Ctx, Requester, ServiceError, ids::new_command};

/// How long somebody is typing who does not say how long.
pub const TYPING_DEFAULT: Duration = Duration::from_secs(30);
/// How long somebody can be typing without saying so again.
const TYPING_MAX: Duration = Duration::from_secs(120);

/// Says that the requester is typing, for so long; `None`: no longer.
pub async fn set_typing(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    user_id: &UserId,
    typing_for: Option<Duration>,
) -> Result<(), ServiceError> {
    if requester.user_id != user_id {
        return Err(ServiceError::forbidden("nobody says that another user is typing"));
    }
    access::require_joined(ctx, requester, room_id).await?;
    let timeout = typing_for.unwrap_or_default().min(TYPING_MAX);
    let command = proto::SetTyping {
        room_id: room_id.to_string(),
        user_id: user_id.to_string(),
        timeout_ms: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
    };
    ctx.replica.run(new_command(Kind::SetTyping(command))).await?;
    Ok(())
}
