//! Guests in rooms: they are in only where, and for as long as, the room lets them.

use plexus_core::row::Membership;
use plexus_proto::{RemoveGuests, command::Kind};
use plexus_storage::tasks;
use serde_json::{Value, json, value::to_raw_value};

use super::{
    Decision,
    event::{Draft, append},
    head::PendingHead,
};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, no_guests, outsider},
    leader::Leader,
};

const GUEST_ACCESS: &str = "m.room.guest_access";

/// Guests that leave a room by one Command; for the rest there is another.
const REMOVED_MAX: usize = 100;

/// Refuses a guest where the room lets none in.
pub(super) async fn require_access(leader: &Leader, head: &mut PendingHead) -> Result<(), CommandError> {
    if may_join(leader, head).await? {
        return Ok(());
    }
    let rule = head.state_event(leader, "m.room.join_rules", "").await?;
    let rule = rule.and_then(|event| event.content_string("join_rule"));
    Err(if rule.as_deref() == Some("public") {
        no_guests()
    } else {
        outsider()
    })
}

/// Whether the room lets guests in.
async fn may_join(leader: &Leader, head: &mut PendingHead) -> Result<bool, CommandError> {
    let access = head.state_event(leader, GUEST_ACCESS, "").await?;
    let access = access.and_then(|event| event.content_string("guest_access"));
    Ok(access.as_deref() == Some("can_join"))
}

/// Whether this event is the one that lets guests in no longer.
pub(super) async fn are_let_go(
    leader: &Leader,
    head: &mut PendingHead,
    draft: &Draft<'_>,
) -> Result<bool, CommandError> {
    if draft.kind != GUEST_ACCESS || draft.state_key != Some("") {
        return Ok(false);
    }
    let content: Value = serde_json::from_str(draft.content.get()).unwrap_or_default();
    Ok(content["guest_access"] != "can_join" && may_join(leader, head).await?)
}

/// Adds the Command that removes the room's guests to what is committed.
pub(super) fn ask_for_removal(leader: &Leader, head: &PendingHead, change: &mut ChangeSet) {
    let room_id = head.info.id.to_string();
    let task = leader.new_task(Kind::RemoveGuests(RemoveGuests { room_id }));
    change.statements.push(tasks::insert(&task));
    change.asks_for_tasks = true;
}

/// Lets guests leave a room, unless it has let them in again.
pub(super) async fn remove_guests(
    leader: &Leader,
    head: &mut PendingHead,
    _: &RemoveGuests,
) -> Result<Decision, CommandError> {
    let mut change = ChangeSet::default();
    if may_join(leader, head).await? {
        return Ok(Decision::default());
    }
    // The head moves only if all of them can go.
    let mut after = head.clone();
    let content = to_raw_value(&json!({"membership": "leave"})).expect("an object of texts is JSON");
    let members = leader.store.room_members(head.info.nid).await?;
    let guests = leader.store.room_guests(head.info.nid).await?;
    let joined = |guest| {
        members
            .get(guest)
            .is_some_and(|entry| entry.membership == Membership::Join)
    };
    for guest in guests.into_iter().filter(|guest| joined(*guest)) {
        if change.rows.len() == REMOVED_MAX {
            ask_for_removal(leader, head, &mut change);
            break;
        }
        let Some(user_id) = leader.store.user_id(guest).await? else {
            continue;
        };
        let member = after.state_event(leader, "m.room.member", user_id.as_str()).await?;
        if member.and_then(|member| member.membership()) != Some(Membership::Join) {
            continue;
        }
        let draft = Draft {
            sender: &user_id,
            kind: "m.room.member",
            state_key: Some(user_id.as_str()),
            content: &content,
            redacts: None,
            transaction: None,
        };
        change.append(append(leader, &mut after, draft, leader.clock.now_ms()).await?.change);
    }
    *head = after;
    Ok(Decision {
        change,
        ..Decision::default()
    })
}
