//! State resolution for the lanes: loads what the pure rules ask for and runs them on a bounded pool, so that a room whose history is hard to resolve delays
//! only itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use plexus_core::{
    auth_chain::ChainCache,
    event::EventBody,
    ids::{EventNid, NodeId, RoomNid, StateKeyNid},
    resolve::{Facts, Known as Fact, Missing, Resolved, resolve as resolve_purely},
    row::EventStatus,
    state::Node,
};
use plexus_storage::{Store, StoreError};
use tokio::sync::Semaphore;

use crate::{
    decide::{Growth, PendingHead},
    error::CommandError,
    leader::Leader,
    metrics,
};

/// Resolutions that run at once.
const RUNNING_MAX: usize = 2;

/// What is remembered of the auth chains of all rooms.
const CHAINS_BYTES: u64 = 64 << 20;

/// Rooms whose chains are remembered.
const ROOMS_MAX: usize = 100_000;

/// How often one resolution may ask for more. Each round brings a link of every chain in question, so this is as deep as chains may be.
const ROUNDS_MAX: usize = 100_000;

/// Generations of auth events that are loaded with those asked for: chains are long and thin.
const GENERATIONS: usize = 8;

/// A resolution that takes longer is told of in the log, with its room.
const SLOW: Duration = Duration::from_millis(100);

/// Where resolutions run, and what is remembered from one to the next.
#[derive(Debug)]
pub(crate) struct Resolver {
    running: Arc<Semaphore>,
    memory: Mutex<Memory>,
}

/// What is remembered by the numbers of nodes, those of decisions that came to nothing among them.
#[derive(Debug)]
struct Memory {
    chains: Arc<ChainCache>,
    /// For each room, the first node that `chains` cannot know: no other node may have the number of one that it does know.
    unknown: HashMap<RoomNid, NodeId>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            chains: Arc::new(ChainCache::new(CHAINS_BYTES)),
            unknown: HashMap::new(),
        }
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self {
            running: Arc::new(Semaphore::new(RUNNING_MAX)),
            memory: Mutex::default(),
        }
    }
}

impl Resolver {
    /// The first number that a new node of the room may have.
    pub(crate) fn first_free(&self, room: RoomNid, next: NodeId) -> NodeId {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.unknown.get(&room).map_or(next, |unknown| next.max(*unknown))
    }

    /// The chains that are known, which will be told of nodes before `next`.
    fn chains(&self, room: RoomNid, next: NodeId) -> Arc<ChainCache> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.unknown.len() > ROOMS_MAX {
            *memory = Memory::default();
        }
        let unknown = memory.unknown.entry(room).or_default();
        *unknown = next.max(*unknown);
        Arc::clone(&memory.chains)
    }
}

/// Resolves the states at some roots of a room.
pub(crate) async fn resolve(
    leader: &Leader,
    head: &PendingHead,
    roots: &[NodeId],
    growth: &Growth,
) -> Result<Resolved, CommandError> {
    let started = Instant::now();
    let chains = leader.resolver.chains(head.info.nid, growth.next());
    let mut loaded = Loaded::of(leader, head, growth)?;
    for _ in 0..ROUNDS_MAX {
        let (back, outcome) = run(leader, head, roots.to_vec(), (loaded, Arc::clone(&chains))).await?;
        loaded = back;
        match outcome {
            Ok(resolved) => {
                report(head, &resolved, started.elapsed());
                return Ok(resolved);
            }
            Err(missing) => loaded.load(leader, head, missing).await?,
        }
    }
    Err(CommandError::Damaged("an auth chain that has no end"))
}

/// One attempt, on the pool.
async fn run(
    leader: &Leader,
    head: &PendingHead,
    roots: Vec<NodeId>,
    (loaded, chains): (Loaded, Arc<ChainCache>),
) -> Result<(Loaded, Result<Resolved, Missing>), CommandError> {
    let permit = Arc::clone(&leader.resolver.running).acquire_owned().await;
    let permit = permit.map_err(|_| CommandError::NotLeader)?;
    let (room, rules) = (head.info.nid, head.info.version.rules());
    let attempt = tokio::task::spawn_blocking(move || {
        let _running = permit;
        let outcome = resolve_purely(rules, &roots, &loaded, Some(chains.of(room)));
        (loaded, outcome)
    });
    attempt
        .await
        .map_err(|_| CommandError::Damaged("a resolution that panicked"))
}

fn report(head: &PendingHead, resolved: &Resolved, took: Duration) {
    metrics::resolution(resolved.conflicted, took);
    if took >= SLOW {
        tracing::info!(room.id = %head.info.id, conflicted = resolved.conflicted, ms = took.as_millis(), "a slow state resolution");
    }
}

/// What one resolution has in memory.
#[derive(Debug)]
struct Loaded {
    store: Store,
    room: RoomNid,
    create: Arc<EventBody>,
    nodes: HashMap<NodeId, Arc<Node>>,
    events: HashMap<EventNid, Fact>,
    parents: HashMap<EventNid, Arc<[EventNid]>>,
    state_keys: HashMap<(String, String), Option<StateKeyNid>>,
}

impl Facts for Loaded {
    fn node(&self, id: NodeId) -> Option<Arc<Node>> {
        let loaded = self.nodes.get(&id).cloned();
        loaded.or_else(|| self.store.kept_node(self.room, id))
    }

    fn event(&self, event: EventNid) -> Option<Fact> {
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

impl Loaded {
    fn of(leader: &Leader, head: &PendingHead, growth: &Growth) -> Result<Self, CommandError> {
        let create = head
            .create
            .as_ref()
            .ok_or(CommandError::Damaged("a room without its create event"))?;
        let pending = head.pending_events(growth);
        Ok(Self {
            store: leader.store.clone(),
            room: head.info.nid,
            create: Arc::clone(&create.body),
            nodes: head.pending_nodes(growth),
            parents: pending
                .clone()
                .filter_map(|event| Some((event.nid, Arc::clone(event.auth_parents.as_ref()?))))
                .collect(),
            events: pending
                .map(|event| {
                    let fact = Fact {
                        body: Arc::clone(&event.body),
                        is_rejected: event.status == EventStatus::Rejected,
                    };
                    (event.nid, fact)
                })
                .collect(),
            state_keys: HashMap::new(),
        })
    }

    async fn load(&mut self, leader: &Leader, head: &PendingHead, missing: Missing) -> Result<(), CommandError> {
        if missing.nodes.iter().any(|node| self.nodes.contains_key(node)) {
            return Err(CommandError::Damaged("a state that has no end"));
        }
        self.nodes
            .extend(leader.store.nodes(head.info.nid, &missing.nodes).await?);
        self.load_parents(missing.auth_parents).await?;
        for event in self.store.events(&missing.events).await? {
            let is_rejected = event.status == EventStatus::Rejected;
            let body = Arc::clone(&event.body);
            if let (Some(nid), Some(key)) = (event.state_key, body.state_key()) {
                self.state_keys
                    .insert((body.kind().to_owned(), key.to_owned()), Some(nid));
            }
            self.events.insert(event.nid, Fact { body, is_rejected });
        }
        for (kind, key) in missing.state_keys {
            let nid = leader.interner.find_state_key(&kind, &key).await?;
            self.state_keys.insert((kind, key), nid);
        }
        Ok(())
    }

    /// The auth events of events, and theirs, for some generations.
    async fn load_parents(&mut self, mut asked: Vec<EventNid>) -> Result<(), StoreError> {
        for _ in 0..GENERATIONS {
            if asked.is_empty() {
                break;
            }
            let found = self.store.auth_parents(self.room, &asked).await?;
            let mut further: Vec<EventNid> = found.values().flat_map(|parents| parents.iter().copied()).collect();
            self.parents.extend(found);
            further.retain(|parent| !self.parents.contains_key(parent));
            further.sort_unstable();
            further.dedup();
            asked = further;
        }
        Ok(())
    }
}
