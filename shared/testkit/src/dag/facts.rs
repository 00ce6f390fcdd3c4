//! What resolution needs to know of a [`Dag`](super::Dag), all of it in memory.

use std::{collections::BTreeMap, sync::Arc};

use plexus_core::{
    event::EventBody,
    ids::{EventNid, NodeId, StateKeyNid},
    resolve::{Facts, Known},
    state::{Node, Shape, change, entries, get},
};

/// Events, auth events, state nodes and keys.
#[derive(Clone, Debug, Default)]
pub struct DagFacts {
    events: Vec<(Known, Arc<[EventNid]>)>,
    nodes: BTreeMap<NodeId, Arc<Node>>,
    next_node: NodeId,
    keys: BTreeMap<(String, String), StateKeyNid>,
    names: Vec<(String, String)>,
}

impl DagFacts {
    /// The id of a type and state key, from now on.
    pub fn intern(&mut self, kind: &str, state_key: &str) -> StateKeyNid {
        let name = (kind.to_owned(), state_key.to_owned());
        if let Some(key) = self.keys.get(&name) {
            return *key;
        }
        self.names.push(name.clone());
        let key = StateKeyNid(i64::try_from(self.names.len()).expect("far fewer"));
        self.keys.insert(name, key);
        key
    }

    /// The state after changes.
    pub fn change(&mut self, state: NodeId, changes: &[(StateKeyNid, Option<EventNid>)]) -> NodeId {
        let nodes = |id| self.nodes.get(&id).cloned();
        let after = change(Shape::ROOM, state, changes, &nodes, &mut self.next_node).expect("all nodes are here");
        self.nodes.extend(after.new_nodes);
        after.root
    }

    /// The event of a type and key in a state.
    pub fn get(&self, state: NodeId, kind: &str, state_key: &str) -> Option<EventNid> {
        let key = self.keys.get(&(kind.to_owned(), state_key.to_owned()))?;
        get(state, *key, &|id| self.node(id)).expect("all nodes are here")
    }

    /// A whole state.
    pub fn state(&self, root: NodeId) -> BTreeMap<(String, String), EventNid> {
        let mut out = Vec::new();
        entries(root, &|id| self.node(id), &mut out).expect("all nodes are here");
        out.into_iter()
            .map(|(key, event)| (self.name(key).clone(), event))
            .collect()
    }

    /// The type and state key of an id.
    pub fn name(&self, key: StateKeyNid) -> &(String, String) {
        &self.names[usize::try_from(key.0 - 1).expect("ids start at 1")]
    }

    /// Says whether an event was rejected, against what the rules say.
    pub fn set_rejected(&mut self, event: EventNid, is_rejected: bool) {
        self.events[super::index(event)].0.is_rejected = is_rejected;
    }

    pub(super) fn pop(&mut self) {
        self.events.pop();
    }

    pub(super) fn push(&mut self, body: Arc<EventBody>, is_rejected: bool, auth: Arc<[EventNid]>) {
        self.events.push((Known { body, is_rejected }, auth));
    }
}

impl Facts for DagFacts {
    fn node(&self, id: NodeId) -> Option<Arc<Node>> {
        self.nodes.get(&id).cloned()
    }

    fn event(&self, event: EventNid) -> Option<Known> {
        self.events.get(super::index(event)).map(|(known, _)| known.clone())
    }

    fn auth_parents(&self, event: EventNid) -> Option<Arc<[EventNid]>> {
        self.events.get(super::index(event)).map(|(_, auth)| auth.clone())
    }

    fn state_key(&self, kind: &str, state_key: &str) -> Option<Option<StateKeyNid>> {
        Some(self.keys.get(&(kind.to_owned(), state_key.to_owned())).copied())
    }

    fn create(&self) -> Arc<EventBody> {
        self.events[0].0.body.clone()
    }
}
