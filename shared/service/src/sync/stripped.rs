//! What an invited or knocking user is told of a room that he is not in.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#stripped-state>

use plexus_core::ids::EventNid;

use super::{scope::Scope, visits::Visit};
use crate::ServiceError;

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
    let (store, room) = (&scope.ctx.store, visit.room.nid);
    let Some(member) = store.event(visit.member.event).await? else {
        return Err(ServiceError::internal(format!(
            "member event {} is not in events",
            visit.member.event.0
        )));
    };
    let sender = member.body.sender().as_str();
    let more = scope.ctx.config.sync.invite_state_types.iter().map(String::as_str);
    let mut events = Vec::with_capacity(KINDS.len() + 2);
    for (kind, state_key) in KINDS
        .into_iter()
        .chain(more)
        .map(|kind| (kind, ""))
        .chain([("m.room.member", sender)])
    {
        let Some(key) = store.state_key_nid(kind, state_key).await? else {
            continue;
        };
        events.extend(store.state_get(room, member.room_root, key).await?);
    }
    events.dedup();
    if !events.contains(&member.nid) {
        events.push(member.nid);
    }
    Ok(events)
}
