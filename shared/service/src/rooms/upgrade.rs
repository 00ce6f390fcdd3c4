//! Upgrading rooms.

use plexus_core::row::Membership;
use plexus_proto::{self as proto, command::Kind};
use ruma::{OwnedRoomId, OwnedUserId, RoomId};

use super::{
    create::{OPAQUE_ID_CHARS, version_number},
    standing::membership,
};
use crate::{
    Ctx, Requester, ServiceError,
    ids::{new_command, random_text},
    users::carry_over::carry_over,
};

/// Replaces a room by one of another version, and names that.
pub async fn upgrade_room(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    version: &str,
    additional_creators: &[OwnedUserId],
) -> Result<OwnedRoomId, ServiceError> {
    let version = version.parse().map_err(|_| ServiceError::UnsupportedRoomVersion)?;
    let unknown = || ServiceError::not_found("there is no such room on this server, or you are not in it");
    let room = ctx.store.room(room_id).await?.ok_or_else(unknown)?;
    if membership(ctx, requester, &room).await? != Some(Membership::Join) {
        return Err(unknown());
    }
    let command = proto::UpgradeRoom {
        room_id: room_id.to_string(),
        sender: requester.user_id.to_string(),
        room_version: version_number(version),
        opaque_id: random_text(OPAQUE_ID_CHARS),
        additional_creators: additional_creators.iter().map(ToString::to_string).collect(),
    };
    let result = ctx.replica.run(new_command(Kind::UpgradeRoom(command))).await?;
    let room_id = result
        .room_id
        .ok_or_else(|| ServiceError::internal("the master named no room"))?;
    let room_id = RoomId::parse(room_id).map_err(ServiceError::internal)?;
    carry_over(ctx, requester, &room_id).await?;
    Ok(room_id)
}
