//! What one state resolution has in memory: for the lanes, which believe what is stored, and for verification, which works it out anew.

use std::{collections::HashMap, sync::Arc};

use plexus_core::{
    event::EventBody,
    ids::{EventNid, NodeId, RoomNid, StateKeyNid},
    resolve::{Facts, Known},
    state::Node,
};
use plexus_storage::{Store, StoreError, events::StoredEvent};

/// State nodes by number.
pub(crate) type Nodes = HashMap<NodeId, Arc<Node>>;

/// The facts that have been loaded so far.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) store: Store,
    pub(crate) room: RoomNid,
    create: Arc<EventBody>,
    /// Nodes that the store does not have.
    unstored: Arc<Nodes>,
    nodes: Nodes,
    events: HashMap<EventNid, Known>,
    pub(crate) parents: HashMap<EventNid, Arc<[EventNid]>>,
    state_keys: HashMap<(String, String), Option<StateKeyNid>>,
}

impl Loaded {
    pub(crate) fn new(store: Store, room: RoomNid, create: Arc<EventBody>, unstored: Arc<Nodes>) -> Self {
        Self {
            store,
            room,
            create,
            unstored,
            nodes: Nodes::new(),
            events: HashMap::new(),
            parents: HashMap::new(),
            state_keys: HashMap::new(),
        }
    }

    /// Reads nodes. One that has been read and is missing still is where it cannot be.
    pub(crate) async fn load_nodes(&mut self, ids: &[NodeId]) -> Result<(), StoreError> {
        let room = self.room;
        if let Some(node) = ids.iter().copied().find(|id| self.nodes.contains_key(id)) {
            return Err(StoreError::Node { room, node });
        }
        self.nodes.extend(self.store.nodes(room, ids).await?);
        Ok(())
    }

    /// Takes in an event that is at hand.
    pub(crate) fn add(&mut self, nid: EventNid, body: &Arc<EventBody>, is_rejected: bool) {
        let body = Arc::clone(body);
        self.events.insert(nid, Known { body, is_rejected });
    }

    /// Takes in an event that was read, and with it the number of its state key.
    pub(crate) fn add_stored(&mut self, event: &StoredEvent, is_rejected: bool) {
        if let (Some(nid), Some(key)) = (event.state_key, event.body.state_key()) {
            self.add_state_key(event.body.kind().to_owned(), key.to_owned(), Some(nid));
        }
        self.add(event.nid, &event.body, is_rejected);
    }

    /// Takes in the number of a pair of type and state key, or that it has none.
    pub(crate) fn add_state_key(&mut self, kind: String, key: String, nid: Option<StateKeyNid>) {
        self.state_keys.insert((kind, key), nid);
    }
}

impl Facts for Loaded {
    fn node(&self, id: NodeId) -> Option<Arc<Node>> {
        let loaded = self.unstored.get(&id).or_else(|| self.nodes.get(&id));
        loaded.cloned().or_else(|| self.store.kept_node(self.room, id))
    }

    fn event(&self, event: EventNid) -> Option<Known> {
        self.events.get(&event).cloned()
    }

    fn auth_parents(&self, event: EventNid) -> Option<Arc<[EventNid]>> {
        self.parents.get(&event).cloned()
    }

    fn state_key(&self, kind: &str, state_key: &str) -> Option<Option<StateKeyNid>> {
        self.state_keys.get(&(kind.to_owned(), state_key.to_owned())).copied()
    }

    fn create(&self) -> Arc<EventBody> {
        Arc::clone(&self.create)
    }
}
