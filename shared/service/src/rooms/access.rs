//! Who may read what of a room.

use std::{collections::HashMap, sync::Arc};

use plexus_core::{
    ids::NodeId,
    position::{Sequence, WriterId},
    row::Membership,
    visibility::{HistoryVisibility, Sight, may_see},
};
use plexus_storage::{events::StoredEvent, memberships::RoomMembership, rooms::RoomInfo};
use ruma::RoomId;

use crate::{Ctx, Requester, ServiceError};

/// Most changes of one membership that are looked back through for the last join.
const CHANGES_LOOKED_BACK_MAX: usize = 100;

/// What a user may read of a room: its state, fixed at one place in the log.
#[derive(Clone, Debug)]
pub struct View {
    pub room: Arc<RoomInfo>,
    /// The last place whose state the user may read: now for a member, the leaving for one who has left.
    pub up_to: Sequence,
    /// The state there.
    pub root: NodeId,
    /// What the user is to the room now.
    pub membership: Option<Membership>,
    /// The newest place at which the user became or was again a member.
    pub last_join: Option<Sequence>,
}

/// The place this process has reached; a response fixes it once.
pub fn now(ctx: &Ctx) -> Sequence {
    ctx.replica.position().get(WriterId::MASTER)
}

/// What the requester may read of a room, or a refusal that does not tell whether there is such a room.
pub async fn view_room(ctx: &Ctx, requester: &Requester, room_id: &RoomId) -> Result<View, ServiceError> {
    let up_to = now(ctx);
    let room = ctx.store.room(room_id).await?.ok_or_else(not_in_room)?;
    let newest = ctx.store.membership_at(requester.user, room.nid, up_to).await?;
    // Who has forgotten a room is nothing to it until he comes back.
    let newest = newest.filter(|newest| !newest.forgotten);
    let membership = newest.map(|newest| newest.membership);
    let (readable_to, last_join) = match newest {
        Some(newest) if newest.membership == Membership::Join => (Some(up_to), Some(newest.position)),
        Some(newest) => last_time_in(ctx, requester, &room, newest).await?,
        None => (None, None),
    };
    let up_to = readable_to.unwrap_or(up_to);
    let state = root_at(ctx, &room, up_to).await?;
    if readable_to.is_none() && history_visibility(ctx, &room, state).await? != HistoryVisibility::WorldReadable {
        return Err(not_in_room());
    }
    Ok(View {
        room,
        up_to,
        root: state,
        membership,
        last_join,
    })
}

/// For somebody who is not in the room now: until when he was, and when he last joined before that.
async fn last_time_in(
    ctx: &Ctx,
    requester: &Requester,
    room: &RoomInfo,
    newest: RoomMembership,
) -> Result<(Option<Sequence>, Option<Sequence>), ServiceError> {
    let mut later = newest;
    for _ in 0..CHANGES_LOOKED_BACK_MAX {
        let Some(earlier) = ctx
            .store
            .membership_at(requester.user, room.nid, later.position - 1)
            .await?
        else {
            break;
        };
        if earlier.membership == Membership::Join {
            return Ok((Some(later.position), Some(earlier.position)));
        }
        later = earlier;
    }
    Ok((None, None))
}

/// The room, if the requester is in it now.
pub async fn require_joined(ctx: &Ctx, requester: &Requester, room_id: &RoomId) -> Result<Arc<RoomInfo>, ServiceError> {
    let room = ctx.store.room(room_id).await?.ok_or_else(not_in_room)?;
    let newest = ctx.store.membership_at(requester.user, room.nid, now(ctx)).await?;
    match newest {
        Some(newest) if newest.membership == Membership::Join => Ok(room),
        Some(_) | None => Err(not_in_room()),
    }
}

/// Decides event by event what one user sees of one room. States that many events share are looked up once.
#[derive(Debug)]
pub struct Sights<'a> {
    ctx: &'a Ctx,
    requester: &'a Requester,
    view: &'a View,
    known: HashMap<NodeId, Sight>,
}

impl<'a> Sights<'a> {
    /// For the requester, in the room of `view`.
    pub fn new(ctx: &'a Ctx, requester: &'a Requester, view: &'a View) -> Self {
        Self {
            ctx,
            requester,
            view,
            known: HashMap::new(),
        }
    }

    /// Whether the requester may see the event.
    pub async fn sees(&mut self, event: &StoredEvent) -> Result<bool, ServiceError> {
        let before = self.sight(event.state_before).await?;
        let body = &event.body;
        let changes_sight = body.is_state("m.room.history_visibility", "")
            || body.is_state("m.room.member", self.requester.user_id.as_str());
        let after = if changes_sight {
            Some(self.sight(event.room_root).await?)
        } else {
            None
        };
        // A member now has joined after every event that he was not in the room for.
        let is_member = self.view.membership == Some(Membership::Join);
        let joined_later = is_member || self.view.last_join.is_some_and(|join| join > event.position);
        Ok(may_see(before, after, joined_later))
    }

    async fn sight(&mut self, root: NodeId) -> Result<Sight, ServiceError> {
        if let Some(sight) = self.known.get(&root) {
            return Ok(*sight);
        }
        let visibility = history_visibility(self.ctx, &self.view.room, root).await?;
        let user_id = self.requester.user_id.as_str();
        let member = self
            .ctx
            .store
            .state_event(self.view.room.nid, root, "m.room.member", user_id)
            .await?;
        let membership = member.and_then(|member| member.body.content_string("membership"));
        let membership = membership.and_then(|word| Membership::parse(&word));
        let sight = Sight { visibility, membership };
        self.known.insert(root, sight);
        Ok(sight)
    }
}

/// The state of the room at a place in the log.
async fn root_at(ctx: &Ctx, room: &RoomInfo, up_to: Sequence) -> Result<NodeId, ServiceError> {
    Ok(ctx.store.room_root_at(room.nid, up_to).await?.unwrap_or_default())
}

async fn history_visibility(ctx: &Ctx, room: &RoomInfo, state: NodeId) -> Result<HistoryVisibility, ServiceError> {
    let event = ctx
        .store
        .state_event(room.nid, state, "m.room.history_visibility", "")
        .await?;
    let word = event.and_then(|event| event.body.content_string("history_visibility"));
    Ok(word.map_or_else(HistoryVisibility::default, |word| {
        HistoryVisibility::from_content(&word)
    }))
}

fn not_in_room() -> ServiceError {
    // The master's sentence, so that it does not matter who looked first.
    ServiceError::forbidden("There is no such room on this server, or you are not in it")
}
