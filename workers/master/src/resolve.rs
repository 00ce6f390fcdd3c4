//! State resolution for the lanes: loads what the pure rules ask for and runs them on a bounded pool, so that a room whose history is hard to resolve delays
//! only itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use plexus_core::{
    auth_chain::ChainCache,
    ids::{EventNid, NodeId, RoomNid},
    resolve::{Missing, Resolved, resolve as resolve_purely},
    row::EventStatus,
};
use plexus_storage::StoreError;
use tokio::sync::Semaphore;

use crate::{
    decide::{Growth, PendingHead},
    error::CommandError,
    facts::Loaded,
    leader::Leader,
    metrics,
    slowest::Slowest,
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
    pub(crate) slowest: Slowest,
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
            slowest: Slowest::default(),
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
    let mut loaded = at_hand(leader, head, growth)?;
    for _ in 0..ROUNDS_MAX {
        let (back, outcome) = run(leader, head, roots.to_vec(), (loaded, Arc::clone(&chains))).await?;
        loaded = back;
        match outcome {
            Ok(resolved) => {
                report(leader, head, &resolved, started.elapsed());
                return Ok(resolved);
            }
            Err(missing) => load(leader, &mut loaded, missing).await?,
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

fn report(leader: &Leader, head: &PendingHead, resolved: &Resolved, took: Duration) {
    metrics::resolution(resolved.conflicted, took);
    leader.resolver.slowest.note(&head.info.id, took, resolved.conflicted);
    if took >= SLOW {
        tracing::info!(room.id = %head.info.id, conflicted = resolved.conflicted, ms = took.as_millis(), "a slow state resolution");
    }
}

/// What is at hand of a room, ahead of the store.
fn at_hand(leader: &Leader, head: &PendingHead, growth: &Growth) -> Result<Loaded, CommandError> {
    let create = head.create.as_ref();
    let create = create.ok_or(CommandError::Damaged("a room without its create event"))?;
    let unstored = Arc::new(head.pending_nodes(growth));
    let mut loaded = Loaded::new(leader.store.clone(), head.info.nid, Arc::clone(&create.body), unstored);
    for event in head.pending_events(growth) {
        loaded.add(event.nid, &event.body, event.status == EventStatus::Rejected);
        if let Some(parents) = &event.auth_parents {
            loaded.parents.insert(event.nid, Arc::clone(parents));
        }
    }
    Ok(loaded)
}

/// Loads what a resolution has found missing.
async fn load(leader: &Leader, loaded: &mut Loaded, missing: Missing) -> Result<(), CommandError> {
    loaded.load_nodes(&missing.nodes).await?;
    load_parents(loaded, missing.auth_parents).await?;
    for event in leader.store.events(&missing.events).await? {
        loaded.add_stored(&event, event.status == EventStatus::Rejected);
    }
    for (kind, key) in missing.state_keys {
        let nid = leader.interner.find_state_key(&kind, &key).await?;
        loaded.add_state_key(kind, key, nid);
    }
    Ok(())
}

/// The auth events of events, and theirs, for some generations.
async fn load_parents(loaded: &mut Loaded, mut asked: Vec<EventNid>) -> Result<(), StoreError> {
    for _ in 0..GENERATIONS {
        if asked.is_empty() {
            break;
        }
        let found = loaded.store.auth_parents(loaded.room, &asked).await?;
        let mut further: Vec<EventNid> = found.values().flat_map(|parents| parents.iter().copied()).collect();
        loaded.parents.extend(found);
        further.retain(|parent| !loaded.parents.contains_key(parent));
        further.sort_unstable();
        further.dedup();
        asked = further;
    }
    Ok(())
}
