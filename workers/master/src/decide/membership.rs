//! Joining, inviting, leaving, kicking, banning, unbanning, knocking.

use plexus_core::{
    auth::{Level, PowerLevels},
    row::Membership,
};
use plexus_proto::{ChangeMembership, RefreshMember, change_membership::Action};
use plexus_storage::blocked_rooms;
use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value, value::to_raw_value};

use super::{
    Decision,
    event::{Draft, append, same_json, user_id},
    guests,
    head::PendingHead,
};
use crate::{
    error::{CommandError, bad_json, blocked, forbidden},
    leader::Leader,
};

const MEMBER: &str = "m.room.member";

/// Members looked at for one who may let a user into a restricted room.
const CANDIDATES_MAX: usize = 1000;

/// A client changes somebody's membership.
pub(super) async fn change_membership(
    leader: &Leader,
    head: &mut PendingHead,
    command: &ChangeMembership,
) -> Result<Decision, CommandError> {
    let sender = user_id(&command.sender)?;
    let target = user_id(&command.target)?;
    let current = head.state_event(leader, MEMBER, command.target.as_str()).await?;
    let was = current.as_ref().and_then(|event| event.membership());
    let membership = new_membership(command.action(), was)?;
    let comes_in = matches!(membership, Membership::Join | Membership::Invite | Membership::Knock);
    if comes_in
        && blocked_rooms::blocked_by(leader.store.db(), &head.info.id)
            .await?
            .is_some()
    {
        return Err(blocked());
    }
    if command.guest && membership == Membership::Join {
        guests::require_access(leader, head).await?;
    }
    let mut content = match &command.content {
        None => Map::new(),
        Some(content) => serde_json::from_slice(content).map_err(|_| bad_json("content is not an object"))?,
    };
    content.insert("membership".to_owned(), membership.as_str().into());
    if let Some(reason) = &command.reason {
        content.insert("reason".to_owned(), reason.as_str().into());
    }
    if comes_in {
        add_profile(leader, target, &mut content).await?;
    }
    if membership == Membership::Join && !matches!(was, Some(Membership::Join | Membership::Invite)) {
        authorise_restricted_join(leader, head, target, &mut content).await?;
    }
    let content = to_raw_value(&content).map_err(|_| bad_json("content is not JSON"))?;
    if let Some(current) = current
        && membership == Membership::Join
        && was == Some(Membership::Join)
        && same_json(current.content(), content.get())
    {
        return Ok(Decision::unchanged(current.event_id()));
    }
    let draft = Draft {
        sender,
        kind: MEMBER,
        state_key: Some(target.as_str()),
        content: &content,
        redacts: None,
        transaction: None,
    };
    append(leader, head, draft, leader.clock.now_ms()).await
}

/// The membership an action leads to, refused where the authorization rules alone would let it pass though it does nothing.
fn new_membership(action: Action, was: Option<Membership>) -> Result<Membership, CommandError> {
    match action {
        Action::Join => Ok(Membership::Join),
        Action::Invite => Ok(Membership::Invite),
        Action::Knock => Ok(Membership::Knock),
        Action::Ban => Ok(Membership::Ban),
        Action::Leave => Ok(Membership::Leave),
        Action::Unban if was == Some(Membership::Ban) => Ok(Membership::Leave),
        Action::Unban => Err(forbidden("The user is not banned")),
        Action::Kick => match was {
            Some(Membership::Join | Membership::Invite | Membership::Knock) => Ok(Membership::Leave),
            Some(Membership::Leave | Membership::Ban) | None => Err(forbidden("The user is not in the room")),
        },
    }
}

/// Puts a local user's display name and avatar into a member event.
pub(super) async fn add_profile(
    leader: &Leader,
    target: &UserId,
    content: &mut Map<String, Value>,
) -> Result<(), CommandError> {
    if target.server_name() != leader.server_name {
        return Ok(());
    }
    let Some(nid) = leader.store.user_nid(target).await? else {
        return Ok(());
    };
    let profile = leader.store.profile(nid).await?;
    for field in ["displayname", "avatar_url"] {
        if let Some(value) = profile
            .get(field)
            .and_then(|value| serde_json::from_str::<Value>(value.get()).ok())
        {
            content.entry(field).or_insert(value);
        }
    }
    Ok(())
}

/// In a restricted room, names a member who may invite if the user is in one of the rooms whose members are let in.
async fn authorise_restricted_join(
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
    if is_in_allowed_room(leader, user, &rules["allow"]).await?
        && let Some(authoriser) = find_authoriser(leader, head).await?
    {
        content.insert(
            "join_authorised_via_users_server".to_owned(),
            authoriser.as_str().into(),
        );
    }
    Ok(())
}

async fn is_in_allowed_room(leader: &Leader, user: &UserId, allow: &Value) -> Result<bool, CommandError> {
    let Some(nid) = leader.store.user_nid(user).await? else {
        return Ok(false);
    };
    let rooms = leader.store.user_rooms(nid).await?;
    for condition in allow.as_array().into_iter().flatten() {
        let room_id = condition["room_id"]
            .as_str()
            .filter(|_| condition["type"] == "m.room_membership");
        let Some(room_id) = room_id.and_then(|id| <&ruma::RoomId>::try_from(id).ok()) else {
            continue;
        };
        let Some(room) = leader.store.room(room_id).await? else {
            continue;
        };
        if rooms
            .get(room.nid)
            .is_some_and(|room| room.membership == Membership::Join)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A local member with the power to invite.
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

/// Sends a joined member's event again if his profile has changed since.
pub(super) async fn refresh_member(
    leader: &Leader,
    head: &mut PendingHead,
    command: &RefreshMember,
) -> Result<Decision, CommandError> {
    let user = user_id(&command.user_id)?;
    let Some(current) = head.state_event(leader, MEMBER, user.as_str()).await? else {
        return Ok(Decision::default());
    };
    if current.membership() != Some(Membership::Join) {
        return Ok(Decision::default());
    }
    let mut content: Map<String, Value> = current.content_as().unwrap_or_default();
    content.remove("displayname");
    content.remove("avatar_url");
    content.remove("join_authorised_via_users_server");
    add_profile(leader, user, &mut content).await?;
    let content = to_raw_value(&content).map_err(|_| bad_json("content is not JSON"))?;
    if same_json(current.content(), content.get()) {
        return Ok(Decision::default());
    }
    let draft = Draft {
        sender: user,
        kind: MEMBER,
        state_key: Some(user.as_str()),
        content: &content,
        redacts: None,
        transaction: None,
    };
    append(leader, head, draft, leader.clock.now_ms()).await
}
