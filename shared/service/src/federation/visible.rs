//! What another server may see of a room's events.
//!
//! A server sees what one of its users may see, and passes it on to nobody else. Of what it may not see it is given what a redaction would leave: the graph
//! of the room has no holes, whoever walks it.

use std::{collections::HashMap, sync::Arc};

use plexus_core::{
    event::EventBody,
    ids::{EventNid, NodeId, StateKeyNid, UserNid},
    row::{EventStatus, Membership},
    state,
    visibility::{HistoryVisibility, Sight, may_see},
};
use plexus_storage::{events::StoredEvent, rooms::RoomInfo};
use ruma::ServerName;

use crate::{Ctx, ServiceError};

/// Most users of the server whose membership at the time of an event is looked at; those who have been there for longest come first. What only others
/// of them may see is not shown.
const USERS_MAX: usize = 1_000;

/// Decides event by event what one server sees of one room that it is in. States that many events share are looked up once.
#[derive(Debug)]
pub struct ServerSights<'a> {
    ctx: &'a Ctx,
    room: &'a RoomInfo,
    server: &'a ServerName,
    known: HashMap<NodeId, Sight>,
    /// The keys of the member events of the server's users; whoever was seen to be in the room last comes first.
    members: Option<Vec<StateKeyNid>>,
    erased: HashMap<UserNid, bool>,
}

impl<'a> ServerSights<'a> {
    /// For a server that is in the room now.
    pub fn new(ctx: &'a Ctx, room: &'a RoomInfo, server: &'a ServerName) -> Self {
        Self {
            ctx,
            room,
            server,
            known: HashMap::new(),
            members: None,
            erased: HashMap::new(),
        }
    }

    /// The event as the server may see it: all of it, or what a redaction leaves.
    pub async fn look(&mut self, event: &StoredEvent) -> Result<Arc<EventBody>, ServiceError> {
        if self.sees(event).await? && !self.is_erased(event.sender).await? {
            return Ok(Arc::clone(&event.body));
        }
        Ok(Arc::new(event.body.redacted(self.room.version.rules())))
    }

    /// Whether the server may see all of an event.
    pub async fn sees(&mut self, event: &StoredEvent) -> Result<bool, ServiceError> {
        if event.status == EventStatus::Outlier {
            // When it was sent is not known. State is told to whoever joins, by the events that allow it.
            return Ok(event.state_key.is_some());
        }
        let before = self.sight(event.state_before).await?;
        let body = &event.body;
        let is_own_member = || body.kind() == "m.room.member" && self.is_own(body.state_key().unwrap_or_default());
        let after = if body.is_state("m.room.history_visibility", "") || is_own_member() {
            Some(self.sight(event.state_after).await?)
        } else {
            None
        };
        // It is in the room now, so one of its users has joined after whatever none of them was there for.
        Ok(may_see(before, after, true))
    }

    fn is_own(&self, user_id: &str) -> bool {
        let server = user_id.split_once(':').map(|(_, server)| server);
        server == Some(self.server.as_str())
    }

    /// What history visibility was in a state, and the most that any of the server's users was to the room.
    async fn sight(&mut self, root: NodeId) -> Result<Sight, ServiceError> {
        if let Some(sight) = self.known.get(&root) {
            return Ok(*sight);
        }
        let event = self.state_event(root, "m.room.history_visibility").await?;
        let word = event.and_then(|event| event.body.content_string("history_visibility"));
        let visibility = word.map_or_else(HistoryVisibility::default, |word| {
            HistoryVisibility::from_content(&word)
        });
        let membership = match visibility {
            // Everybody who is in the room now sees those.
            HistoryVisibility::WorldReadable | HistoryVisibility::Shared => None,
            HistoryVisibility::Invited | HistoryVisibility::Joined => self.membership(root).await?,
        };
        let sight = Sight { visibility, membership };
        self.known.insert(root, sight);
        Ok(sight)
    }

    async fn state_event(&self, root: NodeId, kind: &str) -> Result<Option<Arc<StoredEvent>>, ServiceError> {
        Ok(self.ctx.store.state_event(self.room.nid, root, kind, "").await?)
    }

    /// The most that any of the server's users was to the room: a member, invited, or nothing that matters.
    async fn membership(&mut self, root: NodeId) -> Result<Option<Membership>, ServiceError> {
        let members = match self.members.take() {
            Some(members) => members,
            None => self.load_members().await?,
        };
        let found = self.membership_of(root, &members).await;
        let members = self.members.insert(members);
        let (membership, witness) = found?;
        if let Some(witness) = witness {
            members.swap(0, witness);
        }
        Ok(membership)
    }

    /// The same, with whose it was among the keys.
    async fn membership_of(
        &self,
        root: NodeId,
        members: &[StateKeyNid],
    ) -> Result<(Option<Membership>, Option<usize>), ServiceError> {
        let (mut best, mut witness) = (None, None);
        let first = members.len().min(1);
        // Whoever was in the room at the last event was likely to be at this one.
        for (start, keys) in [(0, &members[..first]), (first, &members[first..])] {
            let get = |nodes: state::Nodes<'_>| {
                let events = keys.iter().map(|key| state::get(root, *key, nodes));
                events.collect::<Result<Vec<Option<EventNid>>, _>>()
            };
            let events = self.ctx.store.with_nodes(self.room.nid, get).await?;
            for (at, nid) in (start..).zip(events) {
                let Some(nid) = nid else { continue };
                let event = self.ctx.store.event(nid).await?;
                match event.and_then(|event| event.body.membership()) {
                    Some(Membership::Join) => return Ok((Some(Membership::Join), Some(at))),
                    Some(Membership::Invite) => (best, witness) = (Some(Membership::Invite), Some(at)),
                    Some(Membership::Leave | Membership::Ban | Membership::Knock) | None => {}
                }
            }
        }
        Ok((best, witness))
    }

    /// The keys of the member events of the server's users that the room has ever had.
    async fn load_members(&self) -> Result<Vec<StateKeyNid>, ServiceError> {
        let members = self.ctx.store.room_members(self.room.nid).await?;
        let users: Vec<UserNid> = members.oldest_first().map(|(user, _)| user).collect();
        let ids = self.ctx.store.user_ids(&users).await?;
        let own = ids
            .into_iter()
            .flatten()
            .filter(|user| user.server_name() == self.server);
        let mut keys = Vec::new();
        for user_id in own.take(USERS_MAX) {
            keys.extend(self.ctx.store.state_key_nid("m.room.member", user_id.as_str()).await?);
        }
        Ok(keys)
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
}
