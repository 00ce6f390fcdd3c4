//! Joining, leaving, inviting, kicking, banning.

use plexus_proto::{self as proto, change_membership::Action, command::Kind};
use ruma::{EventId, OwnedEventId, OwnedServerName, RoomId, UserId};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    Ctx, Requester, ServiceError,
    error::Refusal,
    federation::{
        invite::send_invite,
        membership::{Way, enter_by_others, is_here, leave_by_others},
    },
    ids::command,
    users::carry_over::carry_over,
};

/// Most bytes of a reason.
const REASON_BYTES_MAX: usize = 4096;

/// A change of somebody's membership.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    pub room_id: &'a RoomId,
    /// Whose membership changes; the requester's own if he joins or leaves.
    pub target: &'a UserId,
    pub action: Action,
    pub reason: Option<String>,
    /// What else the client wants in the event's content.
    pub content: Map<String, Value>,
    /// The servers that may help, if this one is not in the room.
    pub via: Vec<OwnedServerName>,
    /// The client's transaction: the same again changes nothing again.
    pub transaction: Option<String>,
}

impl<'a> Change<'a> {
    /// A change without further content.
    pub fn new(room_id: &'a RoomId, target: &'a UserId, action: Action, reason: Option<String>) -> Self {
        Self {
            room_id,
            target,
            action,
            reason,
            content: Map::new(),
            via: Vec::new(),
            transaction: None,
        }
    }
}

/// Asks the master to change a membership; the room's rules decide there. The member event that says so comes back.
pub async fn change_membership(
    ctx: &Ctx,
    requester: &Requester,
    change: Change<'_>,
) -> Result<OwnedEventId, ServiceError> {
    if change
        .reason
        .as_ref()
        .is_some_and(|reason| reason.len() > REASON_BYTES_MAX)
    {
        return Err(ServiceError::refused(Refusal::TooLarge, "the reason is too long"));
    }
    let event_id = match change.action {
        Action::Join => join_room(ctx, requester, change).await?,
        Action::Knock if !is_here(ctx, change.room_id).await? => {
            match enter_by_others(ctx, requester, &change, Way::Knock).await? {
                Some(event_id) => event_id,
                None => ask_master(ctx, requester, change).await?,
            }
        }
        Action::Leave if !is_here(ctx, change.room_id).await? => {
            match leave_by_others(ctx, requester, &change).await? {
                Some(event_id) => event_id,
                None => ask_master(ctx, requester, change).await?,
            }
        }
        Action::Invite if change.target.server_name() != ctx.config.server_name => {
            send_invite(ctx, into_proto(requester, change)).await?
        }
        Action::Invite | Action::Leave | Action::Kick | Action::Ban | Action::Unban | Action::Knock => {
            ask_master(ctx, requester, change).await?
        }
    };
    Ok(event_id)
}

fn into_proto(requester: &Requester, change: Change<'_>) -> proto::ChangeMembership {
    let content = (!change.content.is_empty()).then(|| Value::Object(change.content).to_string().into());
    proto::ChangeMembership {
        room_id: change.room_id.to_string(),
        sender: requester.user_id.to_string(),
        target: change.target.to_string(),
        action: change.action.into(),
        reason: change.reason,
        content,
        guest: requester.guest,
    }
}

/// Joins the requester to a room, by another server if this one is not in it or cannot let him in.
async fn join_room(ctx: &Ctx, requester: &Requester, change: Change<'_>) -> Result<OwnedEventId, ServiceError> {
    let room_id = change.room_id;
    let event_id = if is_here(ctx, room_id).await? {
        match ask_master(ctx, requester, change.clone()).await {
            Err(error) if is_for_others(&error) => match enter_by_others(ctx, requester, &change, Way::Join).await? {
                Some(event_id) => event_id,
                None => {
                    return Err(ServiceError::forbidden(
                        "nobody on this server can let you into the room",
                    ));
                }
            },
            decided => decided?,
        }
    } else {
        let _turn = ctx.inbound.doors.enter(room_id).await;
        // Somebody else may have been through meanwhile.
        let joined = if is_here(ctx, room_id).await? {
            None
        } else {
            enter_by_others(ctx, requester, &change, Way::Join).await?
        };
        match joined {
            Some(event_id) => event_id,
            None => ask_master(ctx, requester, change).await?,
        }
    };
    carry_over(ctx, requester, room_id).await?;
    Ok(event_id)
}

/// Whether another server may be able to do what this one is not.
fn is_for_others(error: &ServiceError) -> bool {
    const CODES: [&str; 2] = ["M_UNABLE_TO_AUTHORISE_JOIN", "M_UNABLE_TO_GRANT_JOIN"];
    matches!(error, ServiceError::Matrix { errcode, .. } if CODES.contains(&errcode.as_str()))
}

async fn ask_master(ctx: &Ctx, requester: &Requester, change: Change<'_>) -> Result<OwnedEventId, ServiceError> {
    let transaction = change.transaction.clone();
    let endpoint = [
        change.action.as_str_name(),
        change.room_id.as_str(),
        change.target.as_str(),
    ];
    let kind = Kind::ChangeMembership(into_proto(requester, change.clone()));
    let command = command(requester, &endpoint, transaction.as_deref(), kind);
    let result = ctx.replica.run(command).await?;
    let event_id = result
        .event_id
        .ok_or_else(|| ServiceError::internal("the master named no event"))?;
    EventId::parse(event_id).map_err(ServiceError::internal)
}

/// What a client that sets a member event itself does by it, where there is more to it than the event: who comes in, or is asked in, does so with his
/// profile and by all the rules for it.
pub(super) fn as_change<'a>(
    requester: &Requester,
    room_id: &'a RoomId,
    state_key: &'a str,
    content: &RawValue,
) -> Option<Change<'a>> {
    let target = <&UserId>::try_from(state_key).ok()?;
    let mut content: Map<String, Value> = serde_json::from_str(content.get()).ok()?;
    let action = match content.remove("membership")?.as_str()? {
        "join" if target == requester.user_id => Action::Join,
        "invite" => Action::Invite,
        _ => return None,
    };
    content.remove("join_authorised_via_users_server");
    Some(Change {
        content,
        ..Change::new(room_id, target, action, None)
    })
}

/// Forgets a room that the requester has left.
pub async fn forget_room(
    ctx: &Ctx,
    requester: &Requester,
    room_id: &RoomId,
    transaction: Option<&str>,
) -> Result<(), ServiceError> {
    let forget = proto::ForgetRoom {
        room_id: room_id.to_string(),
        user_id: requester.user_id.to_string(),
    };
    let endpoint = ["forget", room_id.as_str()];
    let command = command(requester, &endpoint, transaction, Kind::ForgetRoom(forget));
    ctx.replica.run(command).await?;
    Ok(())
}
