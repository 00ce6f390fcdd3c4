//! The rooms one shares with another user.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#mutual-rooms>

use plexus_core::row::Membership;
use ruma::{OwnedRoomId, RoomId, UserId};
use serde_json::json;

use crate::{Ctx, Requester, ServiceError};

/// Rooms in one answer.
const PAGE: usize = 200;

/// The rooms both are joined to, in the order of their ids, from after the one that `from` names. The answer as JSON.
pub async fn get_mutual_rooms(
    ctx: &Ctx,
    requester: &Requester,
    user_id: &str,
    from: Option<&str>,
) -> Result<Vec<u8>, ServiceError> {
    let user_id = UserId::parse(user_id).map_err(|_| ServiceError::invalid_param("user_id is no user id"))?;
    if user_id == requester.user_id {
        return Err(ServiceError::invalid_param("user_id is your own"));
    }
    let from: Option<OwnedRoomId> = from
        .map(RoomId::parse)
        .transpose()
        .map_err(|_| ServiceError::invalid_param("from is no token of this server"))?;
    let mut shared = shared_rooms(ctx, requester, &user_id).await?;
    let count = shared.len();
    shared.sort_unstable();
    shared.retain(|room| from.as_ref().is_none_or(|from| room > from));
    let has_more = shared.len() > PAGE;
    shared.truncate(PAGE);
    let mut answer = json!({"joined": shared, "count": count});
    if let Some(last) = shared.last().filter(|_| has_more) {
        answer["next_batch"] = json!(last);
    }
    Ok(answer.to_string().into_bytes())
}

async fn shared_rooms(ctx: &Ctx, requester: &Requester, other: &UserId) -> Result<Vec<OwnedRoomId>, ServiceError> {
    let Some(other) = ctx.store.user_nid(other).await? else {
        return Ok(Vec::new());
    };
    let (own, others) = (
        ctx.store.user_rooms(requester.user).await?,
        ctx.store.user_rooms(other).await?,
    );
    let mut shared = Vec::new();
    for (room, _) in own.with(Membership::Join) {
        let is_shared = others
            .get(room)
            .is_some_and(|member| member.membership == Membership::Join);
        if is_shared && let Some(info) = ctx.store.room_by_nid(room).await? {
            shared.push(info.id.clone());
        }
    }
    Ok(shared)
}
