//! Joining restricted rooms: whoever is in one of some other rooms may come in, if a member who may invite vouches for it.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#restricted-rooms>

use plexus_core::{
    auth::{Level, PowerLevels},
    ids::{RoomNid, UserNid},
    row::Membership,
};
use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value};

use crate::{
    decide::head::PendingHead,
    error::{CommandError, unable_to_authorise_join, unable_to_grant_join},
    leader::Leader,
};

/// Members looked at for one who may let a user in.
const CANDIDATES_MAX: usize = 1000;

/// What this server can say about a user and the rooms whose members are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// He is in one of them.
    In,
    /// He is in none of those that this server is in.
    Out,
    /// This server is in none of them.
    Unknown,
}

/// In a restricted room, names a member who may invite if the user is in one of the rooms whose members are let in. Where another server may know more, or
/// have such a member, the error says so.
pub(super) async fn authorise(
    leader: &Leader,
    head: &mut PendingHead,
    user: &UserId,
    content: &mut Map<String, Value>,
) -> Result<(), CommandError> {
    if !head.info.version.rules().auth.restricted {
        return Ok(());
    }
    let Some(join_rules) = head.state_event(leader, "m.room.join_rules", "").await? else {
        return Ok(());
    };
    let rules: Value = join_rules.content_as().unwrap_or_default();
    if !matches!(rules["join_rule"].as_str(), Some("restricted" | "knock_restricted")) {
        return Ok(());
    }
    match standing(leader, user, &rules["allow"]).await? {
        Standing::In => {
            let authoriser = find_authoriser(leader, head).await?;
            let authoriser = authoriser.ok_or_else(unable_to_grant_join)?;
            let key = "join_authorised_via_users_server".to_owned();
            content.insert(key, authoriser.as_str().into());
            Ok(())
        }
        // The authorization rules refuse it.
        Standing::Out => Ok(()),
        Standing::Unknown => Err(unable_to_authorise_join()),
    }
}

async fn standing(leader: &Leader, user: &UserId, allow: &Value) -> Result<Standing, CommandError> {
    let nid = leader.store.user_nid(user).await?;
    // Without any condition no other server knows more.
    let (mut conditions, mut known) = (0, 0);
    for condition in allow.as_array().into_iter().flatten() {
        let room_id = condition["room_id"]
            .as_str()
            .filter(|_| condition["type"] == "m.room_membership");
        let Some(room_id) = room_id.and_then(|id| <&ruma::RoomId>::try_from(id).ok()) else {
            continue;
        };
        conditions += 1;
        let found = match leader.store.room(room_id).await? {
            Some(room) => of_room(leader, nid, room.nid).await?,
            None => Standing::Unknown,
        };
        match found {
            Standing::In => return Ok(Standing::In),
            Standing::Out => known += 1,
            Standing::Unknown => {}
        }
    }
    Ok(if conditions > 0 && known == 0 {
        Standing::Unknown
    } else {
        Standing::Out
    })
}

/// The same for one room. What this server knew when its last member left need not be true any more.
async fn of_room(leader: &Leader, user: Option<UserNid>, room: RoomNid) -> Result<Standing, CommandError> {
    let members = leader.store.room_members(room).await?;
    let servers = leader.store.room_servers(room).await?;
    let is_here = servers.contains(&leader.server_name);
    let member = user.and_then(|user| members.get(user));
    Ok(match member {
        Some(member) if is_here && member.membership == Membership::Join => Standing::In,
        Some(_) | None if is_here => Standing::Out,
        Some(_) | None => Standing::Unknown,
    })
}

/// A member of this server with the power to invite.
async fn find_authoriser(leader: &Leader, head: &mut PendingHead) -> Result<Option<OwnedUserId>, CommandError> {
    let Some(create) = head.state_event(leader, "m.room.create", "").await? else {
        return Ok(None);
    };
    let power_levels = head.state_event(leader, "m.room.power_levels", "").await?;
    let levels = PowerLevels::read(head.info.version.rules(), &create, power_levels.as_deref());
    let members = leader.store.room_members(head.info.nid).await?;
    for (member, _) in members.with(Membership::Join).take(CANDIDATES_MAX) {
        let Some(candidate) = leader.store.user_id(member).await? else {
            continue;
        };
        let is_local = candidate.server_name() == leader.server_name;
        if is_local && levels.user_level(candidate.as_str())? >= levels.level(Level::Invite)? {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}
