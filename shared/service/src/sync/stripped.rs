//! What an invited or knocking user is told of a room that he is not in.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#stripped-state>

use plexus_core::ids::{EventNid, NodeId, RoomNid};
use ruma::UserId;

use super::{scope::Scope, visits::Visit};
use crate::{Ctx, ServiceError};

/// The state that says what room it is.
const KINDS: [&str; 7] = [
    "m.room.create",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.avatar",
    "m.room.name",
    "m.room.topic",
    "m.room.encryption",
];

/// The events shown, as they were when the user was invited or knocked: what the room is, who invited him, and the member event itself.
pub(super) async fn collect(scope: &Scope<'_>, visit: &Visit) -> Result<Vec<EventNid>, ServiceError> {
    let Some(member) = scope.ctx.store.event(visit.member.event).await? else {
        return Err(ServiceError::internal(format!(
            "member event {} is not in events",
            visit.member.event.0
        )));
    };
    let mut events = describe(scope.ctx, visit.room.nid, member.room_root, member.body.sender()).await?;
    if !events.contains(&member.nid) {
        events.push(member.nid);
    }
    Ok(events)
}

/// What the user was told of a room that this server is not in: stripped events, separated by commas.
pub(super) async fn preview(scope: &Scope<'_>, visit: &Visit) -> Result<Vec<u8>, ServiceError> {
    let store = &scope.ctx.store;
    let member = store.event(visit.member.event).await?;
    if !member.is_some_and(|member| member.is_apart()) {
        return Ok(Vec::new());
    }
    let mut preview = store
        .room_preview(scope.requester.user, visit.room.nid)
        .await?
        .unwrap_or_default();
    // The brackets of the list.
    preview.pop();
    Ok(preview.into_iter().skip(1).collect())
}

/// The events of a state that say what room it is, to somebody who is not in it: with the member event of who invites him.
pub(crate) async fn describe(
    ctx: &Ctx,
    room: RoomNid,
    state: NodeId,
    sender: &UserId,
) -> Result<Vec<EventNid>, ServiceError> {
    let more = ctx.config.sync.invite_state_types.iter().map(String::as_str);
    let mut events = Vec::with_capacity(KINDS.len() + 2);
    for (kind, state_key) in KINDS
        .into_iter()
        .chain(more)
        .map(|kind| (kind, ""))
        .chain([("m.room.member", sender.as_str())])
    {
        let Some(key) = ctx.store.state_key_nid(kind, state_key).await? else {
            continue;
        };
        events.extend(ctx.store.state_get(room, state, key).await?);
    }
    events.dedup();
    Ok(events)
}
