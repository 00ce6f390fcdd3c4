//! What users of this server do about rooms that only others are in.

use plexus_core::{event::EventBody, row::Membership};
use plexus_federation::rooms::Step;
use plexus_storage::blocked_rooms;
use ruma::{OwnedEventId, OwnedServerName, RoomId};
use serde_json::{Map, Value};

use super::{
    candidates::{Attempts, candidates},
    is_resident,
    join::join_by,
    knock::knock_by,
    leave::{Leaving, leave},
    member_event::Wanted,
};
use crate::{
    Ctx, Requester, ServiceError,
    error::Refusal,
    rooms::{access::now, membership::Change},
};

/// How somebody goes to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Join,
    Knock,
}

/// Whether the master decides alone what becomes of a room: this server is in it, or nobody is in it any more that is known.
pub(crate) async fn is_here(ctx: &Ctx, room_id: &RoomId) -> Result<bool, ServiceError> {
    let Some(room) = ctx.store.room(room_id).await? else {
        return Ok(false);
    };
    if is_resident(ctx, room.nid).await? {
        return Ok(true);
    }
    let servers = ctx.store.room_servers(room.nid).await?;
    Ok(servers.is_empty() && ctx.store.room_root_at(room.nid, now(ctx)).await?.is_some())
}

/// Joins the requester to a room, or knocks for him, by another server. Nothing if no other server is known to ask.
pub(crate) async fn enter_by_others(
    ctx: &Ctx,
    requester: &Requester,
    change: &Change<'_>,
    way: Way,
) -> Result<Option<OwnedEventId>, ServiceError> {
    let servers = candidates(ctx, requester, change.room_id, &change.via).await?;
    if servers.is_empty() {
        return Ok(None);
    }
    require_welcome(ctx, requester, change.room_id).await?;
    let wanted = Wanted {
        room_id: change.room_id.to_owned(),
        user_id: requester.user_id.clone(),
        step: match way {
            Way::Join => Step::Join,
            Way::Knock => Step::Knock,
        },
        content: member_content(ctx, requester, change).await?,
    };
    let own = ctx.clone();
    // The others believe the user in the room from some point on, whether his client still waits or not.
    let entered = see_through(ctx, async move {
        let mut attempts = Attempts::new(&wanted.room_id);
        for server in servers {
            let outcome = match way {
                Way::Join => join_by(&own, &server, &wanted).await,
                Way::Knock => knock_by(&own, &server, &wanted).await,
            };
            if let Some(event_id) = attempts.note(&server, outcome)? {
                return Ok(event_id);
            }
            if !attempts.may_go_on() {
                break;
            }
        }
        Err(attempts.give_up())
    });
    entered.await.map(Some)
}

/// Does some work to its end, even if whoever asked for it gives up.
pub(super) fn see_through<T: Send + 'static>(
    ctx: &Ctx,
    work: impl Future<Output = Result<T, ServiceError>> + Send + 'static,
) -> impl Future<Output = Result<T, ServiceError>> {
    let stopping = || ServiceError::Unavailable("the process is stopping".to_owned());
    let done = ctx.federation.see_through(work);
    async move { done.await.ok_or_else(stopping)? }
}

/// Refuses an invite for the requester, or takes back his knock, at a room that this server is not in. Nothing if there is no such thing.
pub(crate) async fn leave_by_others(
    ctx: &Ctx,
    requester: &Requester,
    change: &Change<'_>,
) -> Result<Option<OwnedEventId>, ServiceError> {
    let Some(room) = ctx.store.room(change.room_id).await? else {
        return Ok(None);
    };
    let known = ctx.store.user_rooms(requester.user).await?.get(room.nid);
    let known = known.filter(|known| matches!(known.membership, Membership::Invite | Membership::Knock));
    let Some(known) = known else { return Ok(None) };
    let Some(member) = ctx.store.event(known.event).await? else {
        return Ok(None);
    };
    let mut content = Map::new();
    if let Some(reason) = &change.reason {
        content.insert("reason".to_owned(), reason.as_str().into());
    }
    let leaving = Leaving {
        wanted: Wanted {
            room_id: room.id.clone(),
            user_id: requester.user_id.clone(),
            step: Step::Leave,
            content,
        },
        version: room.version,
        member: EventBody::clone(&member.body),
    };
    let servers = candidates(ctx, requester, change.room_id, &change.via).await?;
    leave(ctx, leaving, servers).await.map(Some)
}

/// Refuses those who may not go to rooms that this server knows nothing of.
async fn require_welcome(ctx: &Ctx, requester: &Requester, room_id: &RoomId) -> Result<(), ServiceError> {
    if requester.guest {
        let why = "guests join rooms only that users of this server are in";
        return Err(ServiceError::refused(Refusal::GuestsForbidden, why));
    }
    if blocked_rooms::blocked_by(ctx.store.db(), room_id)
        .await
        .map_err(ServiceError::from)?
        .is_some()
    {
        return Err(ServiceError::forbidden("This room has been blocked on this server"));
    }
    Ok(())
}

/// What the requester says in his own member event, but for the membership: his profile, his reason, and what else his client wants there.
async fn member_content(
    ctx: &Ctx,
    requester: &Requester,
    change: &Change<'_>,
) -> Result<Map<String, Value>, ServiceError> {
    let mut content = change.content.clone();
    if let Some(reason) = &change.reason {
        content.insert("reason".to_owned(), reason.as_str().into());
    }
    let profile = ctx.store.profile(requester.user).await?;
    for field in ["displayname", "avatar_url"] {
        let value = profile
            .get(field)
            .and_then(|value| serde_json::from_str(value.get()).ok());
        if let Some(value) = value {
            content.entry(field).or_insert(value);
        }
    }
    Ok(content)
}

/// The servers in a query, `via` or as it was called before, `server_name`.
pub fn servers_of_query<'a>(values: impl Iterator<Item = &'a str>) -> Vec<OwnedServerName> {
    values.filter_map(|name| OwnedServerName::try_from(name).ok()).collect()
}
