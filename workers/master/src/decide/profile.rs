//! Profiles of local users.

use plexus_core::row::{Membership, Row};
use plexus_proto::{RefreshMember, SetProfile, command::Kind};
use plexus_storage::{profiles, tasks};

use super::{Decision, event::user_id};
use crate::{
    change_set::ChangeSet,
    error::{CommandError, bad_json, not_found},
    leader::Leader,
};

/// Fields that member events repeat.
const IN_MEMBER_EVENTS: [&str; 2] = ["displayname", "avatar_url"];

/// Sets or removes a field. Member events follow by a task for each room the user is in.
pub(super) async fn set_profile(leader: &Leader, command: &SetProfile) -> Result<Decision, CommandError> {
    let id = user_id(&command.user_id)?;
    let user = leader
        .store
        .user_nid(id)
        .await?
        .ok_or_else(|| not_found("There is no such user"))?;
    let mut change = ChangeSet::default();
    change.statements.push(match &command.value {
        Some(value) => {
            let value = serde_json::from_slice(value).map_err(|_| bad_json("the value is not JSON"))?;
            profiles::upsert(user, &command.field, value)
        }
        None => profiles::delete(user, &command.field),
    });
    change.rows.push(Row::Profile { user });
    if IN_MEMBER_EVENTS.contains(&command.field.as_str()) {
        let rooms = leader.store.user_rooms(user).await?;
        for (room, _) in rooms.with(Membership::Join) {
            let room = leader
                .store
                .room_by_nid(room)
                .await?
                .ok_or(CommandError::Damaged("a membership of no room"))?;
            let refresh = RefreshMember {
                room_id: room.id.to_string(),
                user_id: command.user_id.clone(),
            };
            let task = leader.new_task(Kind::RefreshMember(refresh));
            change.statements.push(tasks::insert(&task));
            change.asks_for_tasks = true;
        }
    }
    Ok(Decision {
        change,
        ..Decision::default()
    })
}
