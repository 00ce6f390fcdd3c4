//! Looking things up on a room's pending head: first what waits for its commit, then the store.

use std::sync::Arc;

use plexus_core::{
    event::EventBody,
    ids::{EventNid, NodeId, StateKeyNid},
    state,
};
use ruma::EventId;

use super::{Growth, Known, PendingHead};
use crate::{error::CommandError, leader::Leader};

impl PendingHead {
    /// The event that holds a piece of the room's state.
    pub(in crate::decide) async fn state_event(
        &mut self,
        leader: &Leader,
        kind: &str,
        key: &str,
    ) -> Result<Option<Arc<EventBody>>, CommandError> {
        let event = self
            .state_event_at(leader, self.root, &Growth::none(), (kind, key))
            .await?;
        Ok(event.map(|event| event.body))
    }

    /// The event that holds a piece of the state at a root.
    pub(in crate::decide) async fn state_event_at(
        &mut self,
        leader: &Leader,
        root: NodeId,
        growth: &Growth,
        (kind, key): (&str, &str),
    ) -> Result<Option<Known>, CommandError> {
        let Some(key) = leader.interner.find_state_key(kind, key).await? else {
            return Ok(None);
        };
        match self.state_nid(leader, root, growth, key).await? {
            Some(nid) => self.event(leader, nid).await.map(Some),
            None => Ok(None),
        }
    }

    /// The events that hold some pieces of the state at a root, as far as it has them.
    pub(in crate::decide) async fn state_events_at(
        &mut self,
        leader: &Leader,
        keys: &[(&str, String)],
        (root, growth): (NodeId, &Growth),
    ) -> Result<Vec<Known>, CommandError> {
        let mut events = Vec::with_capacity(keys.len());
        for (kind, key) in keys {
            events.extend(self.state_event_at(leader, root, growth, (kind, key)).await?);
        }
        Ok(events)
    }

    async fn state_nid(
        &self,
        leader: &Leader,
        root: NodeId,
        growth: &Growth,
        key: StateKeyNid,
    ) -> Result<Option<EventNid>, CommandError> {
        let found = leader
            .store
            .with_nodes(self.info.nid, |nodes| {
                state::get(root, key, &|id| self.node(id, growth).or_else(|| nodes(id)))
            })
            .await?;
        Ok(found)
    }

    /// An event of the room by number.
    pub(in crate::decide) async fn event(&mut self, leader: &Leader, nid: EventNid) -> Result<Known, CommandError> {
        if let Some(event) = self.events.get(&nid) {
            return Ok(event.clone());
        }
        let event = self.look_at(leader, nid).await?;
        self.keep_event(event.clone());
        Ok(event)
    }

    /// The same, for who goes through many of them: it is not kept for the next.
    pub(in crate::decide) async fn look_at(&self, leader: &Leader, nid: EventNid) -> Result<Known, CommandError> {
        if let Some(event) = self.events.get(&nid) {
            return Ok(event.clone());
        }
        let event = leader.store.event(nid).await?;
        let event = event.ok_or(CommandError::Damaged("an event that is named is not stored"))?;
        Ok(Known::from(&*event))
    }

    /// An event of the room by id, whatever became of it.
    pub(in crate::decide) async fn find_event(
        &mut self,
        leader: &Leader,
        event_id: &EventId,
    ) -> Result<Option<Known>, CommandError> {
        if let Some(tip) = self.tips.iter().find(|tip| tip.body.event_id() == event_id) {
            return Ok(Some(tip.clone()));
        }
        if let Some(nid) = self.uncommitted.get(event_id) {
            return self.event(leader, *nid).await.map(Some);
        }
        let found = leader.store.known_event(self.info.nid, event_id).await?;
        Ok(found.map(|event| Known::from(&*event)))
    }
}
