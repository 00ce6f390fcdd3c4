//! What a decision adds to the tries of a room's states, until it is certain that it will be written.

use std::{collections::HashMap, sync::Arc};

use plexus_core::{
    ids::{EventNid, NodeId, StateKeyNid},
    state::{self, Difference, Inserted, Node},
};
use plexus_storage::state_nodes;

use super::{Known, PendingHead};
use crate::{change_set::ChangeSet, error::CommandError, leader::Leader};

/// New nodes, and what was resolved with them.
#[derive(Debug)]
pub(crate) struct Growth {
    next: NodeId,
    nodes: HashMap<NodeId, Arc<Node>>,
    pub(super) resolved: Vec<(Vec<NodeId>, NodeId)>,
    /// The events it is about.
    events: Vec<Known>,
}

impl Growth {
    /// Nothing new: for who only looks.
    pub(in crate::decide) fn none() -> Self {
        Self {
            next: NodeId::EMPTY,
            nodes: HashMap::new(),
            resolved: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Takes in what an operation on a trie has made.
    pub(super) fn add(&mut self, inserted: Inserted, next: NodeId) -> NodeId {
        self.nodes.extend(inserted.new_nodes);
        self.next = next;
        inserted.root
    }

    /// Makes an event known to what follows in the decision.
    pub(in crate::decide) fn add_event(&mut self, event: Known) {
        self.events.push(event);
    }

    /// The first number that no node of the room has had.
    pub(crate) fn next(&self) -> NodeId {
        self.next
    }
}

impl PendingHead {
    /// The beginning of a decision.
    pub(in crate::decide) fn growth(&self, leader: &Leader) -> Growth {
        Growth {
            next: leader.resolver.first_free(self.info.nid, self.next_node),
            ..Growth::none()
        }
    }

    /// A node that is not in the store yet, or has just come there.
    pub(super) fn node(&self, id: NodeId, growth: &Growth) -> Option<Arc<Node>> {
        growth.nodes.get(&id).or_else(|| self.nodes.get(&id)).cloned()
    }

    /// Every node that is not in the store yet, or has just come there.
    pub(crate) fn pending_nodes(&self, growth: &Growth) -> HashMap<NodeId, Arc<Node>> {
        let kept = self.nodes.iter().chain(&growth.nodes);
        kept.map(|(id, node)| (*id, Arc::clone(node))).collect()
    }

    /// The events that are at hand.
    pub(crate) fn pending_events<'a>(&'a self, growth: &'a Growth) -> impl Iterator<Item = &'a Known> + Clone {
        self.events.values().chain(&growth.events)
    }

    /// The state at `root` with more entries.
    pub(in crate::decide) async fn insert_state(
        &self,
        leader: &Leader,
        root: NodeId,
        entries: &[(StateKeyNid, EventNid)],
        growth: &mut Growth,
    ) -> Result<NodeId, CommandError> {
        let (inserted, next) = leader
            .store
            .with_nodes(self.info.nid, |nodes| {
                let mut next = growth.next;
                let nodes = |id| self.node(id, growth).or_else(|| nodes(id));
                state::insert(root, entries, &nodes, &mut next).map(|inserted| (inserted, next))
            })
            .await?;
        Ok(growth.add(inserted, next))
    }

    /// How the state changes from one root to another.
    pub(in crate::decide) async fn state_diff(
        &self,
        leader: &Leader,
        (old, new): (NodeId, NodeId),
        growth: &Growth,
    ) -> Result<Vec<Difference>, CommandError> {
        let differences = leader
            .store
            .with_nodes(self.info.nid, |nodes| {
                state::diff(old, new, &|id| self.node(id, growth).or_else(|| nodes(id)))
            })
            .await?;
        Ok(differences)
    }

    /// Writes what has grown. From here on the decision stands.
    pub(in crate::decide) fn keep_growth(&mut self, growth: Growth, change: &mut ChangeSet) {
        for (id, node) in &growth.nodes {
            change.statements.push(state_nodes::insert(self.info.nid, *id, node));
        }
        self.moved |= !growth.nodes.is_empty();
        self.next_node = growth.next;
        self.nodes.extend(growth.nodes);
        self.resolved.extend(growth.resolved);
        for event in growth.events {
            self.remember(event);
        }
    }
}
