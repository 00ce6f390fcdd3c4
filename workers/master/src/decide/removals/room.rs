//! The steps of a deletion: local users leave, then everything goes but what says that they have left.

use plexus_core::{
    ids::{EventNid, UserNid},
    row::{Membership, Row},
};
use plexus_proto::{ChangeMembership, RemovalStep, change_membership::Action, command::Kind, removal_step::Stage};
use plexus_storage::{forgotten_rooms, nids, purge, room_directory, room_gaps, tasks};
use ruma::UserId;
use serde_json::{json, value::to_raw_value};

use super::{
    super::{
        event::{Draft, append},
        head::{LaneState, PendingHead},
    },
    UnderWay,
};
use crate::{change_set::ChangeSet, error::CommandError};

/// Users who leave by one step.
const USERS_MAX: usize = 100;
/// Events that one step deletes, and rows of the history of memberships.
const ROWS_MAX: i64 = 500;
/// Other rows that one step deletes: they are small, and deleted by a range.
const OTHERS_MAX: i64 = 2_000;

/// Local users leave; those who were in the room are asked into the one that replaces it. After the last of them the room is closed.
pub(super) async fn leave(
    under_way: &mut UnderWay<'_>,
    state: &mut LaneState,
    command: &RemovalStep,
) -> Result<ChangeSet, CommandError> {
    let leader = under_way.leader;
    let members = leader.store.room_members(under_way.room).await?;
    // Of its own until all is decided, since an error must leave the lane's as it is.
    let mut head = state.head(leader, &command.room_id).await?.clone();
    let (mut change, mut stuck, mut left) = (ChangeSet::default(), command.stuck.clone(), 0);
    let mut is_last = true;
    for user in purge::local_users(leader.store.db(), under_way.room).await? {
        let membership = members.get(user).map(|member| member.membership);
        if matches!(membership, None | Some(Membership::Leave | Membership::Ban)) {
            continue;
        }
        let Some(user_id) = leader.store.user_id(user).await? else {
            continue;
        };
        if stuck.iter().any(|stuck| stuck == user_id.as_str()) {
            continue;
        }
        if left == USERS_MAX {
            is_last = false;
            break;
        }
        match leave_one(under_way, &mut head, &user_id, command, &mut change).await {
            Ok(has_left) => left += usize::from(has_left),
            Err(error @ CommandError::Refused(_)) => {
                tracing::warn!(%error, user.id = %user_id, "a user cannot leave a room that is deleted");
                under_way.list("failed_to_kick_users", user_id.as_str());
                stuck.push(user_id.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    let next = RemovalStep {
        stuck: stuck.clone(),
        ..command.clone()
    };
    let change = if !is_last {
        under_way.ask(next, change)
    } else if !command.purge {
        under_way.complete(change)
    } else if !stuck.is_empty() && !command.force_purge {
        under_way.fail("Some users could not leave the room", change)
    } else {
        head.retire();
        change.statements.push(room_directory::update(under_way.room, false));
        under_way.ask(at_stage(next, Stage::Events), change)
    };
    *state.head(leader, &command.room_id).await? = head;
    Ok(change)
}

/// Whether the user was still in the room, or on his way into it.
async fn leave_one(
    under_way: &mut UnderWay<'_>,
    head: &mut PendingHead,
    user_id: &UserId,
    command: &RemovalStep,
    change: &mut ChangeSet,
) -> Result<bool, CommandError> {
    let leader = under_way.leader;
    let member = head.state_event(leader, "m.room.member", user_id.as_str()).await?;
    let membership = member.and_then(|member| member.membership());
    if matches!(membership, None | Some(Membership::Leave | Membership::Ban)) {
        return Ok(false);
    }
    let content = to_raw_value(&json!({"membership": "leave"})).expect("an object of texts is JSON");
    let draft = Draft {
        sender: user_id,
        kind: "m.room.member",
        state_key: Some(user_id.as_str()),
        content: &content,
        redacts: None,
        transaction: None,
    };
    change.append(append(leader, head, draft, leader.clock.now_ms()).await?.change);
    under_way.list("kicked_users", user_id.as_str());
    if let Some(new_room_id) = command
        .new_room_id
        .as_ref()
        .filter(|_| membership == Some(Membership::Join))
    {
        let join = ChangeMembership {
            room_id: new_room_id.clone(),
            sender: user_id.to_string(),
            target: user_id.to_string(),
            action: Action::Join.into(),
            ..ChangeMembership::default()
        };
        let task = leader.new_task(Kind::ChangeMembership(join));
        change.statements.push(tasks::insert(&task));
        change.asks_for_tasks = true;
    }
    Ok(true)
}

/// Events go, those in the timeline and all others.
pub(super) async fn delete_events(
    under_way: &mut UnderWay<'_>,
    command: &RemovalStep,
) -> Result<ChangeSet, CommandError> {
    let leader = under_way.leader;
    let events = purge::any(leader.store.db(), under_way.room, ROWS_MAX).await?;
    let mut change = ChangeSet::default();
    let Some(greatest) = events.iter().max() else {
        let first = at_stage(command.clone(), Stage::Members);
        return Ok(under_way.ask(first, change));
    };
    change.statements.push(nids::event_deleted(*greatest));
    change.statements.push(purge::delete_events(&events));
    change.statements.push(purge::delete_relations(&events));
    change.statements.push(room_gaps::delete(under_way.room, &events));
    change.rows.push(purged(under_way, events, false));
    Ok(under_way.ask(command.clone(), change))
}

/// The history of memberships goes, but for the leaving of local users: a device that was away has to learn of it. To the user the room is forgotten.
pub(super) async fn delete_members(
    under_way: &mut UnderWay<'_>,
    command: &RemovalStep,
) -> Result<ChangeSet, CommandError> {
    let db = under_way.leader.store.db();
    let after = (command.after_position, UserNid(command.after_user));
    let members = purge::members_after(db, under_way.room, after, ROWS_MAX).await?;
    let mut change = ChangeSet::default();
    let Some(last) = members.last().copied() else {
        let first = at_stage(command.clone(), Stage::Rest);
        return Ok(under_way.ask(first, change));
    };
    let room = under_way.room;
    for member in members {
        if member.tells_left {
            let forget = forgotten_rooms::upsert(member.user, room, change.next_sequence());
            change.statements.push(forget);
            change.rows.push(Row::Forgotten {
                user: member.user,
                room,
            });
        } else {
            change.statements.push(purge::delete_member(room, member));
        }
    }
    let next = RemovalStep {
        after_position: last.position,
        after_user: last.user.0,
        ..command.clone()
    };
    Ok(under_way.ask(next, change))
}

/// Receipts, account data, nodes of states and the like go, and with them what is kept in memory.
pub(super) async fn delete_rest(
    under_way: &mut UnderWay<'_>,
    command: &RemovalStep,
) -> Result<ChangeSet, CommandError> {
    let db = under_way.leader.store.db();
    let mut change = ChangeSet::default();
    if let Some(delete) = purge::delete_rest(db, under_way.room, OTHERS_MAX).await? {
        change.statements.push(delete);
        return Ok(under_way.ask(command.clone(), change));
    }
    change.rows.push(purged(under_way, Vec::new(), true));
    Ok(under_way.complete(change))
}

fn purged(under_way: &UnderWay<'_>, events: Vec<EventNid>, whole: bool) -> Row {
    Row::Purged {
        room: under_way.room,
        events,
        whole,
    }
}

fn at_stage(step: RemovalStep, stage: Stage) -> RemovalStep {
    RemovalStep {
        stage: stage.into(),
        ..step
    }
}
