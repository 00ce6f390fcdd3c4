//! The states of a room as they are stored, and as they should be: those that are worked out get nodes of their own, which are in memory only.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use plexus_core::{
    auth_chain::ChainCache,
    ids::{EventNid, NodeId, StateKeyNid},
    resolve::{Missing, resolve},
    state::{self, Shape},
};
use plexus_storage::{Store, StoreError, events::StoredEvent, rooms::RoomInfo};
use ruma::OwnedEventId;

use super::{VerifyError, sorted};
use crate::facts::{Loaded, Nodes};

/// What is remembered of auth chains.
const CHAINS_BYTES: u64 = 64 << 20;

/// Sets of states whose resolution is remembered.
const RESOLVED_MAX: usize = 10_000;

/// Rounds of one resolution, each of which asks for more.
const ROUNDS_MAX: usize = 100_000;

/// The states of one room.
pub(super) struct States<'a> {
    pub(super) store: &'a Store,
    pub(super) room: Arc<RoomInfo>,
    /// The event that made the room.
    pub(super) create: Option<Arc<StoredEvent>>,
    /// The numbers of the room's events, whatever became of them.
    pub(super) by_id: HashMap<OwnedEventId, EventNid>,
    /// The events that the rules refuse.
    pub(super) rejected: HashSet<EventNid>,
    /// Nodes of states that are not stored as they should be.
    pub(super) made: Arc<Nodes>,
    /// The first number that no node has. It only grows, since what is remembered of chains is by number.
    pub(super) next: NodeId,
    resolved: HashMap<Vec<NodeId>, NodeId>,
    chains: ChainCache,
}

impl<'a> States<'a> {
    pub(super) fn new(store: &'a Store, room: Arc<RoomInfo>, next: NodeId) -> Self {
        Self {
            store,
            room,
            create: None,
            by_id: HashMap::new(),
            rejected: HashSet::new(),
            made: Arc::default(),
            next,
            resolved: HashMap::new(),
            chains: ChainCache::new(CHAINS_BYTES),
        }
    }

    /// The numbers of the events that an event names as allowing it, those that are here.
    pub(super) fn auth_parents(&self, event: &StoredEvent) -> Vec<EventNid> {
        let named = event.body.auth_events().iter();
        sorted(named.filter_map(|id| self.by_id.get(id).copied()))
    }

    /// Whether two roots are of the same state; none if one of them cannot be read.
    pub(super) async fn is_same(&self, one: NodeId, other: NodeId) -> Result<Option<bool>, VerifyError> {
        if one == other {
            return Ok(Some(true));
        }
        let made = &self.made;
        let differences = self
            .store
            .with_nodes(self.room.nid, |nodes| {
                state::diff(one, other, &|id| made.get(&id).cloned().or_else(|| nodes(id)))
            })
            .await;
        readable(differences.map(|differences| differences.is_empty()))
    }

    /// The state at a root with one more entry; none if it cannot be read.
    pub(super) async fn insert(
        &mut self,
        root: NodeId,
        key: StateKeyNid,
        event: EventNid,
    ) -> Result<Option<NodeId>, VerifyError> {
        self.change(root, &[(key, Some(event))]).await
    }

    async fn change(
        &mut self,
        root: NodeId,
        changes: &[(StateKeyNid, Option<EventNid>)],
    ) -> Result<Option<NodeId>, VerifyError> {
        let (made, first) = (&self.made, self.next);
        let grown = self
            .store
            .with_nodes(self.room.nid, |nodes| {
                let mut next = first;
                let nodes = |id| made.get(&id).cloned().or_else(|| nodes(id));
                state::change(Shape::ROOM, root, changes, &nodes, &mut next).map(|grown| (grown, next))
            })
            .await;
        let Some((grown, next)) = readable(grown)? else {
            return Ok(None);
        };
        self.next = next;
        Arc::make_mut(&mut self.made).extend(grown.new_nodes);
        Ok(Some(grown.root))
    }

    /// Forgets the nodes that were made from a number on: what they were made for is stored as it should be.
    pub(super) fn forget_from(&mut self, first: NodeId) {
        if self.next > first && !self.resolved.values().any(|root| *root >= first) {
            Arc::make_mut(&mut self.made).retain(|id, _| *id < first);
        }
    }

    /// The event that holds a key of the state at a root.
    pub(super) async fn get(
        &self,
        root: NodeId,
        kind: &str,
        key: &str,
    ) -> Result<Option<Arc<StoredEvent>>, VerifyError> {
        let Some(key) = self.store.state_key_nid(kind, key).await? else {
            return Ok(None);
        };
        let made = &self.made;
        let found = self
            .store
            .with_nodes(self.room.nid, |nodes| {
                state::get(root, key, &|id| made.get(&id).cloned().or_else(|| nodes(id)))
            })
            .await;
        match readable(found)?.flatten() {
            Some(event) => Ok(self.store.event(event).await?),
            None => Ok(None),
        }
    }

    /// All of the state at a root; none if it cannot be read.
    pub(super) async fn entries(&self, root: NodeId) -> Result<Option<Vec<(StateKeyNid, EventNid)>>, VerifyError> {
        if !self.made.contains_key(&root) {
            return readable(self.store.state(self.room.nid, root).await);
        }
        let made = &self.made;
        let entries = self
            .store
            .with_nodes(self.room.nid, |nodes| {
                let mut entries = Vec::new();
                let nodes = |id| made.get(&id).cloned().or_else(|| nodes(id));
                state::entries(root, &nodes, &mut entries).map(|()| entries)
            })
            .await;
        readable(entries)
    }

    /// What some states come to together; none if one of them cannot be read.
    pub(super) async fn resolve(&mut self, mut roots: Vec<NodeId>) -> Result<Option<NodeId>, VerifyError> {
        roots.sort_unstable();
        roots.dedup();
        match *roots {
            [] => return Ok(Some(NodeId::EMPTY)),
            [root] => return Ok(Some(root)),
            _ => {}
        }
        if let Some(root) = self.resolved.get(&roots) {
            return Ok(Some(*root));
        }
        let Some(create) = self.create.as_ref().map(|create| Arc::clone(&create.body)) else {
            return Ok(None);
        };
        let rules = self.room.version.rules();
        let mut facts = Loaded::new(self.store.clone(), self.room.nid, create, Arc::clone(&self.made));
        for _ in 0..ROUNDS_MAX {
            let outcome = resolve(rules, &roots, &facts, Some(self.chains.of(self.room.nid)));
            let resolved = match outcome {
                Ok(resolved) => resolved,
                Err(missing) => match readable(self.load(&mut facts, missing).await)? {
                    Some(()) => continue,
                    None => return Ok(None),
                },
            };
            drop(facts);
            let root = self.change(resolved.base, &resolved.changes).await?;
            if let Some(root) = root.filter(|_| self.resolved.len() < RESOLVED_MAX) {
                self.resolved.insert(roots, root);
            }
            return Ok(root);
        }
        Ok(None)
    }

    /// Loads what a resolution has found missing: what allows an event and which are rejected as it was worked out, not as it is stored.
    async fn load(&self, facts: &mut Loaded, missing: Missing) -> Result<(), StoreError> {
        facts.load_nodes(&missing.nodes).await?;
        for event in self.store.events(&missing.auth_parents).await? {
            facts.parents.insert(event.nid, self.auth_parents(&event).into());
        }
        for event in self.store.events(&missing.events).await? {
            facts.add_stored(&event, self.rejected.contains(&event.nid));
        }
        for (kind, key) in missing.state_keys {
            let nid = self.store.state_key_nid(&kind, &key).await?;
            facts.add_state_key(kind, key, nid);
        }
        Ok(())
    }
}

/// The value, or nothing where a node or an event is damaged or missing.
fn readable<T>(read: Result<T, StoreError>) -> Result<Option<T>, VerifyError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Database(error)) => Err(error.into()),
        Err(
            StoreError::Node { .. }
            | StoreError::MissingEvent(_)
            | StoreError::Corrupt { .. }
            | StoreError::Event { .. },
        ) => Ok(None),
    }
}
