//! Guests: they are in a room only while its `m.room.guest_access` says that they may be, <https://spec.matrix.org/v1.19/client-server-api/#guest-access>.

use plexus_core::{ids::UserNid, row::Membership};
use plexus_proto::{ChangeMembership, change_membership::Action, command::Kind};
use plexus_storage::{tasks, tasks::Task};
use ruma::UserId;
use serde_json::Value;

use super::head::PendingHead;
use crate::{
    change_set::ChangeSet,
    error::{CommandError, guest_access_forbidden},
    leader::Leader,
};

const GUEST_ACCESS: &str = "m.room.guest_access";

/// Whether a state event's content lets guests in.
fn lets_guests_in(content: &str) -> bool {
    serde_json::from_str::<Value>(content).is_ok_and(|content| content["guest_access"] == "can_join")
}

/// Refuses a guest of this server where the room does not let guests in.
pub(super) async fn check_join(leader: &Leader, head: &mut PendingHead, user_id: &UserId) -> Result<(), CommandError> {
    if user_id.server_name() != leader.server_name {
        return Ok(());
    }
    let Some(user) = leader.store.user_nid(user_id).await? else {
        return Ok(());
    };
    let account = leader.store.account(user).await?;
    if !account.is_some_and(|account| account.guest) {
        return Ok(());
    }
    match head.state_event(leader, GUEST_ACCESS, "").await? {
        Some(event) if lets_guests_in(event.content()) => Ok(()),
        Some(_) | None => Err(guest_access_forbidden("The room does not let guests in")),
    }
}

/// The departures of this server's guests that follow from a state event, if it no longer lets them be there.
pub(super) async fn departures(
    leader: &Leader,
    head: &PendingHead,
    kind: &str,
    state_key: Option<&str>,
    content: &str,
) -> Result<Vec<Task>, CommandError> {
    if kind != GUEST_ACCESS || state_key != Some("") || lets_guests_in(content) {
        return Ok(Vec::new());
    }
    let room = leader.store.room_by_nid(head.info.nid).await?;
    // A room that is only just being made has nobody in it.
    let Some(room) = room else { return Ok(Vec::new()) };
    let members = leader.store.room_members(head.info.nid).await?;
    let joined: Vec<UserNid> = members.with(Membership::Join).map(|(user, _)| user).collect();
    let mut departures = Vec::new();
    for guest in leader.store.guests_among(&joined).await? {
        let guest = leader.store.user_id(guest).await?;
        let guest = guest.ok_or(CommandError::Damaged("a member without an id"))?.to_string();
        departures.push(leader.new_task(Kind::ChangeMembership(ChangeMembership {
            room_id: room.id.to_string(),
            sender: guest.clone(),
            target: guest,
            action: Action::Leave.into(),
            ..ChangeMembership::default()
        })));
    }
    Ok(departures)
}

/// Adds tasks to what asks for them.
pub(super) fn add_tasks(change: &mut ChangeSet, added: &[Task]) {
    change.asks_for_tasks |= !added.is_empty();
    change.statements.extend(added.iter().map(tasks::insert));
}
