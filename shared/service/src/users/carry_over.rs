//! What a user keeps of a room goes with him into the room that replaces it.

use plexus_core::event::json;
use plexus_proto::{self as proto, command::Kind};
use ruma::RoomId;

use crate::{Ctx, Requester, ServiceError, ids::new_command, rooms::access::now};

/// The requester has come into a room. If it replaces one that he has had to do with, his tags and rules for that one hold here too.
pub(crate) async fn carry_over(ctx: &Ctx, requester: &Requester, room_id: &RoomId) -> Result<(), ServiceError> {
    let Some(room) = ctx.store.room(room_id).await? else {
        return Ok(());
    };
    let state = ctx.store.room_root_at(room.nid, now(ctx)).await?.unwrap_or_default();
    let create = ctx.store.state_event(room.nid, state, "m.room.create", "").await?;
    let predecessor = create.as_ref().and_then(|create| {
        let predecessor = json::get(create.body.content(), "predecessor")?;
        json::string(json::get(predecessor, "room_id")?)
    });
    let Some(Ok(predecessor)) = predecessor.map(|id| RoomId::parse(id.as_ref())) else {
        return Ok(());
    };
    let Some(old) = ctx.store.room(&predecessor).await? else {
        return Ok(());
    };
    if ctx.store.user_rooms(requester.user).await?.get(old.nid).is_none() {
        return Ok(());
    }
    let command = proto::CarryOver {
        user_id: requester.user_id.to_string(),
        from_room_id: predecessor.to_string(),
        to_room_id: room_id.to_string(),
    };
    ctx.replica.run(new_command(Kind::CarryOver(command))).await?;
    Ok(())
}
