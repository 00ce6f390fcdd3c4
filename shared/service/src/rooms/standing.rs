//! What somebody is to a room now.

use plexus_core::row::Membership;
use plexus_storage::rooms::RoomInfo;
use ruma::RoomId;

use super::access::now;
use crate::{Ctx, Requester, ServiceError};

/// What the requester is to a room now; nothing if he has never been anything to it, or has forgotten it.
pub(super) async fn membership(
    ctx: &Ctx,
    requester: &Requester,
    room: &RoomInfo,
) -> Result<Option<Membership>, ServiceError> {
    let newest = ctx.store.membership_at(requester.user, room.nid, now(ctx)).await?;
    let newest = newest.filter(|newest| !newest.forgotten);
    Ok(newest.map(|newest| newest.membership))
}

/// Whether the requester is in the room now.
pub(super) async fn is_joined(ctx: &Ctx, requester: &Requester, room_id: &RoomId) -> Result<bool, ServiceError> {
    let Some(room) = ctx.store.room(room_id).await? else {
        return Ok(false);
    };
    Ok(membership(ctx, requester, &room).await? == Some(Membership::Join))
}

/// The one answer for whoever has nothing to do with a room, whether it is there or not: the master's sentence.
pub(super) fn outside() -> ServiceError {
    ServiceError::forbidden("There is no such room on this server, or you are not in it")
}
