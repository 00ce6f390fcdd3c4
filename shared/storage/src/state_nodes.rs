//! Table `state_nodes`: nodes of the rooms' state tries. A node never changes, and its id is never used again.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use plexus_core::{
    ids::{EventNid, NodeId, RoomNid, StateKeyNid},
    state::{self, Difference, MissingNode, Node, Nodes},
};

use crate::{
    Store, StoreError,
    cache::{Cache, bounded},
    db::{Statement, Value},
    events::StoredEvent,
    sql::{Int as _, one_row},
};

/// Bounds the cache.
const CACHE_BYTES: u64 = 32 << 20;

/// Most nodes one query asks for.
const NODES_PER_QUERY_MAX: usize = 500;

/// Most nodes that are loaded for one read: those of a state of some millions of entries.
const NODES_PER_READ_MAX: usize = 200_000;

/// Stores a node.
pub fn insert(room: RoomNid, id: NodeId, node: &Node) -> Statement {
    let body = node.encode();
    one_row(
        "-- state_nodes::insert
        INSERT INTO state_nodes (room_nid, node_id, checksum, body) VALUES ($1, $2, $3, $4)",
        [
            room.int(),
            id.int(),
            Node::checksum(&body).int(),
            Value::Bytes(Bytes::from(body)),
        ],
    )
}

/// The nodes that have been read.
pub(crate) type StateNodes = Cache<(RoomNid, NodeId), Arc<Node>>;

pub(crate) fn cache() -> StateNodes {
    bounded(CACHE_BYTES, 600, |_, node| node.weight_bytes() as u64 + 32)
}

/// Nodes that one read has loaded: what it needs stays with it, even if the cache is too small for it.
type Loaded = HashMap<NodeId, Arc<Node>>;

impl Store {
    /// The event that sets a key in a room's state.
    pub async fn state_get(
        &self,
        room: RoomNid,
        state_root: NodeId,
        key: StateKeyNid,
    ) -> Result<Option<EventNid>, StoreError> {
        self.with_nodes(room, |nodes| state::get(state_root, key, nodes)).await
    }

    /// The state event of a type and state key in a room's state.
    pub async fn state_event(
        &self,
        room: RoomNid,
        state_root: NodeId,
        kind: &str,
        state_key: &str,
    ) -> Result<Option<Arc<StoredEvent>>, StoreError> {
        let Some(key) = self.state_key_nid(kind, state_key).await? else {
            return Ok(None);
        };
        let Some(event) = self.state_get(room, state_root, key).await? else {
            return Ok(None);
        };
        match self.event(event).await? {
            Some(event) => Ok(Some(event)),
            None => Err(StoreError::MissingEvent(event)),
        }
    }

    /// All of a room's state, in no particular order.
    pub async fn state(&self, room: RoomNid, state_root: NodeId) -> Result<Vec<(StateKeyNid, EventNid)>, StoreError> {
        let mut loaded = Loaded::new();
        loop {
            let mut missing = Vec::new();
            state::frontier(state_root, &|id| self.node_at_hand(room, id, &loaded), &mut missing);
            if missing.is_empty() {
                break;
            }
            self.load_nodes(room, &missing, &mut loaded).await?;
        }
        self.with_loaded(room, loaded, |nodes| {
            let mut entries = Vec::new();
            state::entries(state_root, nodes, &mut entries).map(|()| entries)
        })
        .await
    }

    /// All of a room's state as events, in no particular order.
    pub async fn state_events(&self, room: RoomNid, state_root: NodeId) -> Result<Vec<Arc<StoredEvent>>, StoreError> {
        let state = self.state(room, state_root).await?;
        let nids: Vec<EventNid> = state.into_iter().map(|(_, event)| event).collect();
        self.events(&nids).await
    }

    /// How a room's state changed from one root to another.
    pub async fn state_diff(&self, room: RoomNid, old: NodeId, new: NodeId) -> Result<Vec<Difference>, StoreError> {
        self.with_nodes(room, |nodes| state::diff(old, new, nodes)).await
    }

    /// Runs an operation on a room's state, loading the nodes that it finds missing, until it has all it needs. For the master too, whose decisions
    /// insert: the operation is run again from its start after each load, so it must not keep anything of a run that failed.
    pub async fn with_nodes<T>(
        &self,
        room: RoomNid,
        operation: impl FnMut(Nodes<'_>) -> Result<T, MissingNode>,
    ) -> Result<T, StoreError> {
        self.with_loaded(room, Loaded::new(), operation).await
    }

    /// A node of a room's state, if it is in memory.
    pub fn kept_node(&self, room: RoomNid, id: NodeId) -> Option<Arc<Node>> {
        self.caches().state_nodes.get(&(room, id))
    }

    /// Nodes of a room's state.
    pub async fn nodes(&self, room: RoomNid, ids: &[NodeId]) -> Result<HashMap<NodeId, Arc<Node>>, StoreError> {
        let mut loaded = Loaded::new();
        self.load_nodes(room, ids, &mut loaded).await?;
        Ok(loaded)
    }

    /// Keeps nodes that the caller made and that have been committed, so that they need not be read.
    pub fn remember_nodes(&self, room: RoomNid, nodes: &[(NodeId, Arc<Node>)]) {
        for (id, node) in nodes {
            self.caches().state_nodes.insert((room, *id), Arc::clone(node));
        }
    }

    async fn with_loaded<T>(
        &self,
        room: RoomNid,
        mut loaded: Loaded,
        mut operation: impl FnMut(Nodes<'_>) -> Result<T, MissingNode>,
    ) -> Result<T, StoreError> {
        loop {
            let MissingNode(node) = match operation(&|id| self.node_at_hand(room, id, &loaded)) {
                Ok(result) => return Ok(result),
                Err(missing) => missing,
            };
            // Asked for again: not missing, but where it cannot be.
            if loaded.contains_key(&node) {
                return Err(StoreError::Node { room, node });
            }
            self.load_nodes(room, &[node], &mut loaded).await?;
        }
    }

    fn node_at_hand(&self, room: RoomNid, id: NodeId, loaded: &Loaded) -> Option<Arc<Node>> {
        loaded
            .get(&id)
            .cloned()
            .or_else(|| self.caches().state_nodes.get(&(room, id)))
    }

    /// Loads nodes, all of which have to be there.
    async fn load_nodes(&self, room: RoomNid, ids: &[NodeId], loaded: &mut Loaded) -> Result<(), StoreError> {
        for chunk in ids.chunks(NODES_PER_QUERY_MAX) {
            if loaded.len() + chunk.len() > NODES_PER_READ_MAX {
                return Err(StoreError::corrupt(
                    "state_nodes",
                    format!("a state of room {} that has no end", room.0),
                ));
            }
            let sql = "-- state_nodes::nodes
                SELECT node_id, checksum, body FROM state_nodes WHERE room_nid = $1 AND node_id = ANY($2)";
            let asked = chunk.iter().map(|id| id.0).collect();
            for row in self.db().query(sql, &[room.int(), Value::Ints(asked)]).await? {
                let node = NodeId(row.int(0)?);
                let body = row.bytes(2)?;
                let intact = Node::checksum(&body) == row.int(1)?;
                let read = Node::decode(&body).ok().filter(|_| intact);
                let read = Arc::new(read.ok_or(StoreError::Node { room, node })?);
                self.caches().state_nodes.insert((room, node), Arc::clone(&read));
                loaded.insert(node, read);
            }
            if let Some(node) = chunk.iter().copied().find(|id| !loaded.contains_key(id)) {
                return Err(StoreError::Node { room, node });
            }
        }
        Ok(())
    }
}
