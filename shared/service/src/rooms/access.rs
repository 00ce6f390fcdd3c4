//! Who may read what of a room.

use std::{collections::HashMap, sync::Arc};

use plexus_core::{
    ids::{NodeId, UserNid},
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
    let room = ctx.store.room(room_id).await?.ok_or_else(not_in_room)?;
    view(ctx, requester, room, now(ctx)).await?.ok_or_else(not_in_room)
}

/// What the requester may read of a room as it is at `up_to`; none if he may not know of it.
///
/// Members read all of it up to there, those who have left up to their leaving, and whoever else if the room is world-readable then. To a guest nothing
/// else applies: he is a member or he looks in from outside.
pub async fn view(
    ctx: &Ctx,
    requester: &Requester,
    room: Arc<RoomInfo>,
    up_to: Sequence,
) -> Result<Option<View>, ServiceError> {
    let newest = ctx.store.membership_at(requester.user, room.nid, up_to).await?;
    // Who has forgotten a room is nothing to it until he comes back.
    let newest = newest.filter(|newest| !newest.forgotten);
    let membership = newest.map(|newest| newest.membership);
    let (readable_to, last_join) = match newest {
        Some(newest) if newest.membership == Membership::Join => (Some(up_to), Some(newest.position)),
        Some(newest) => last_time_in(ctx, requester, &room, newest).await?,
        None => (None, None),
    };
    let mut up_to = up_to;
    let mut state = root_at(ctx, &room, up_to).await?;
    if membership != Some(Membership::Join)
        && history_visibility(ctx, &room, state).await? != HistoryVisibility::WorldReadable
    {
        let Some(readable_to) = readable_to else {
            return Ok(None);
        };
        up_to = readable_to;
        state = root_at(ctx, &room, up_to).await?;
    }
    Ok(Some(View {
        room,
        up_to,
        root: state,
        membership,
        last_join,
    }))
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

impl Seen {
    /// What he is told that he was then: to him who had been nothing, that he was not there.
    pub fn told_membership(&self) -> Option<Membership> {
        Some(self.membership.unwrap_or(Membership::Leave))
    }
}

/// Whether an event is a redaction that redacts nothing: nobody is told of it before what it is for is here, and only if it may take effect.
///
/// <https://spec.matrix.org/v1.19/rooms/v3/#handling-redactions>
pub async fn is_held_back(ctx: &Ctx, event: &StoredEvent) -> Result<bool, ServiceError> {
    // One of our own users' has been checked before there was an event.
    if event.body.kind() != "m.room.redaction" || event.body.sender().server_name() == ctx.config.server_name {
        return Ok(false);
    }
    let Some(target) = event.body.redacts() else {
        // One that is redacted itself may not say any more what it was for.
        return Ok(event.redacted_by.is_none());
    };
    let target = ctx.store.known_event(event.room, target).await?;
    Ok(target.is_none_or(|target| target.redacted_by.is_none()))
}

/// Decides event by event what one user sees of one room. States that many events share are looked up once.
#[derive(Debug)]
pub struct Sights<'a> {
    ctx: &'a Ctx,
    requester: &'a Requester,
    view: &'a View,
    known: HashMap<NodeId, Sight>,
    erased: HashMap<UserNid, bool>,
}

/// An event as one user sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The event; what a redaction would leave of it, if its sender is erased and the user was not there.
    pub event: Arc<StoredEvent>,
    /// What the user was to the room then.
    pub membership: Option<Membership>,
}

impl<'a> Sights<'a> {
    /// For the requester, in the room of `view`.
    pub fn new(ctx: &'a Ctx, requester: &'a Requester, view: &'a View) -> Self {
        Self {
            ctx,
            requester,
            view,
            known: HashMap::new(),
            erased: HashMap::new(),
        }
    }

    /// Who is asked for.
    pub fn requester(&self) -> &'a Requester {
        self.requester
    }

    /// Whether the requester may see the event.
    pub async fn sees(&mut self, event: &StoredEvent) -> Result<bool, ServiceError> {
        Ok(self.judge(event).await?.is_some())
    }

    /// The event as the requester may see it; none if he may not.
    pub async fn look(&mut self, event: &Arc<StoredEvent>) -> Result<Option<Seen>, ServiceError> {
        let Some(membership) = self.judge(event).await? else {
            return Ok(None);
        };
        // Whoever was there when it was said keeps it: that is how it is with letters.
        let was_there = membership == Some(Membership::Join);
        let event = if was_there || !self.is_erased(event.sender).await? {
            Arc::clone(event)
        } else {
            let body = Arc::new(event.body.redacted(self.view.room.version.rules()));
            Arc::new(StoredEvent {
                body,
                ..StoredEvent::clone(event)
            })
        };
        Ok(Some(Seen { event, membership }))
    }

    /// What the requester was to the room at the event, if he may see it. His own member event he sees as what it makes of him.
    async fn judge(&mut self, event: &StoredEvent) -> Result<Option<Option<Membership>>, ServiceError> {
        if event.room_order.is_none() && !self.is_in_state(event).await? || is_held_back(self.ctx, event).await? {
            return Ok(None);
        }
        let before = self.sight(event.state_before).await?;
        let body = &event.body;
        let is_own_member = body.is_state("m.room.member", self.requester.user_id.as_str());
        let after = if is_own_member || body.is_state("m.room.history_visibility", "") {
            Some(self.sight(event.state_after).await?)
        } else {
            None
        };
        // A member now has joined after every event that he was not in the room for.
        let is_member = self.view.membership == Some(Membership::Join);
        let joined_later = is_member || self.view.last_join.is_some_and(|join| join > event.position);
        if !may_see(before, after, joined_later) {
            return Ok(None);
        }
        let at = after.filter(|_| is_own_member).unwrap_or(before);
        Ok(Some(at.membership))
    }

    /// Whether an event is part of the state that the requester knows: one that is in no timeline is seen as that, or not at all.
    async fn is_in_state(&self, event: &StoredEvent) -> Result<bool, ServiceError> {
        let Some(key) = event.state_key else { return Ok(false) };
        let view = self.view;
        Ok(self.ctx.store.state_get(view.room.nid, view.root, key).await? == Some(event.nid))
    }

    /// Whether a user has asked for what he said to be forgotten.
    async fn is_erased(&mut self, user: UserNid) -> Result<bool, ServiceError> {
        if let Some(erased) = self.erased.get(&user) {
            return Ok(*erased);
        }
        let account = self.ctx.store.account(user).await?;
        let erased = account.is_some_and(|account| account.standing.erased);
        self.erased.insert(user, erased);
        Ok(erased)
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
