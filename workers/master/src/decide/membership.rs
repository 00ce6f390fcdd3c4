//! Joining, inviting, leaving, kicking, banning, unbanning, knocking.

mod restricted;

use plexus_core::{event::EventBody, row::Membership};
use plexus_proto::{ChangeMembership, PrepareEvent, RefreshMember, change_membership::Action};
use plexus_storage::blocked_rooms;
use ruma::UserId;
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

use super::{
    Decision,
    event::{Draft, append, prepare, same_json, user_id},
    guests,
    head::{LaneState, PendingHead},
};
use crate::{
    error::{CommandError, bad_json, blocked, forbidden},
    leader::Leader,
};

const MEMBER: &str = "m.room.member";

/// A client changes somebody's membership.
pub(super) async fn change_membership(
    leader: &Leader,
    head: &mut PendingHead,
    command: &ChangeMembership,
) -> Result<Decision, CommandError> {
    let sender = user_id(&command.sender)?;
    let current = head.state_event(leader, MEMBER, command.target.as_str()).await?;
    let content = member_content(leader, head, command, current.as_deref()).await?;
    if let Some(current) = current
        && command.action() == Action::Join
        && current.membership() == Some(Membership::Join)
        && same_json(current.content(), content.get())
    {
        return Ok(Decision::unchanged(current.event_id()));
    }
    let draft = member_draft(sender, &command.target, &content);
    append(leader, head, draft, leader.clock.now_ms()).await
}

/// Makes the event of a change for others to sign. Users of other servers are told why it is refused: their servers know which rooms there are.
pub(super) async fn prepare_event(
    leader: &Leader,
    state: &mut LaneState,
    command: &PrepareEvent,
) -> Result<Decision, CommandError> {
    let change = command.change.as_ref().ok_or(CommandError::Malformed("no change"))?;
    let sender = user_id(&change.sender)?;
    let head = state.head(leader, &change.room_id).await?;
    let decided = prepare_change(leader, head, sender, change).await;
    if sender.server_name() == leader.server_name {
        head.conceal(leader, &change.sender, decided).await
    } else {
        decided
    }
}

async fn prepare_change(
    leader: &Leader,
    head: &mut PendingHead,
    sender: &UserId,
    change: &ChangeMembership,
) -> Result<Decision, CommandError> {
    let current = head.state_event(leader, MEMBER, change.target.as_str()).await?;
    let content = member_content(leader, head, change, current.as_deref()).await?;
    prepare(leader, head, &member_draft(sender, &change.target, &content)).await
}

fn member_draft<'a>(sender: &'a UserId, target: &'a str, content: &'a RawValue) -> Draft<'a> {
    Draft {
        sender,
        kind: MEMBER,
        state_key: Some(target),
        content,
        redacts: None,
        transaction: None,
    }
}

/// What a change says, if nothing but the authorization rules speaks against it. `current` is the target's member event now.
async fn member_content(
    leader: &Leader,
    head: &mut PendingHead,
    command: &ChangeMembership,
    current: Option<&EventBody>,
) -> Result<Box<RawValue>, CommandError> {
    let target = user_id(&command.target)?;
    let was = current.and_then(EventBody::membership);
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
        restricted::authorise(leader, head, target, &mut content).await?;
    }
    to_raw_value(&content).map_err(|_| bad_json("content is not JSON"))
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
    let draft = member_draft(user, &command.user_id, &content);
    append(leader, head, draft, leader.clock.now_ms()).await
}
