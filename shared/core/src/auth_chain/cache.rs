//! What is remembered of the auth chains of state, by the nodes of its tries.
//!
//! A node never changes, so neither do the chains of the events below it. A room's state after a change shares all nodes but a few with the one before,
//! and so all that is remembered here.

use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};
use roaring::RoaringTreemap;

use crate::ids::{EventNid, NodeId, RoomNid};

/// How many nodes a cache makes room for at first.
const NODES_EXPECTED: usize = 1_024;

/// What an entry of the cache takes up besides its bitmap, in bytes.
const ENTRY_BYTES: usize = 96;

/// The share of the bytes that is kept for the newest events of nodes, which are small and looked at first.
const NEWEST_SHARE: u64 = 8;

type Key = (RoomNid, NodeId);

/// Auth chains by state node, for all rooms, bounded in bytes.
#[derive(Debug)]
pub struct ChainCache {
    /// The newest event below a node.
    newest: Cache<Key, EventNid, ByBytes>,
    /// The chains of all events below a node.
    chains: Cache<Key, Arc<RoaringTreemap>, ByBytes>,
}

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<Key, EventNid> for ByBytes {
    fn weight(&self, _: &Key, _: &EventNid) -> u64 {
        ENTRY_BYTES as u64
    }
}

impl Weighter<Key, Arc<RoaringTreemap>> for ByBytes {
    fn weight(&self, _: &Key, chain: &Arc<RoaringTreemap>) -> u64 {
        (ENTRY_BYTES + chain.serialized_size()) as u64
    }
}

impl ChainCache {
    /// An empty cache that will not hold more than `max_bytes`.
    pub fn new(max_bytes: u64) -> Self {
        let for_newest = max_bytes / NEWEST_SHARE;
        Self {
            newest: Cache::with_weighter(NODES_EXPECTED, for_newest, ByBytes),
            chains: Cache::with_weighter(NODES_EXPECTED, max_bytes - for_newest, ByBytes),
        }
    }

    /// The part of it that is a room's.
    pub fn of(&self, room: RoomNid) -> RoomChains<'_> {
        RoomChains { cache: self, room }
    }

    /// What it holds, in bytes.
    pub fn weight_bytes(&self) -> u64 {
        self.newest.weight() + self.chains.weight()
    }
}

/// Auth chains by state node, of one room.
#[derive(Clone, Copy, Debug)]
pub struct RoomChains<'a> {
    cache: &'a ChainCache,
    room: RoomNid,
}

impl RoomChains<'_> {
    pub(super) fn newest(&self, node: NodeId) -> Option<EventNid> {
        self.cache.newest.get(&(self.room, node))
    }

    pub(super) fn insert_newest(&self, node: NodeId, newest: EventNid) {
        self.cache.newest.insert((self.room, node), newest);
    }

    pub(super) fn chain(&self, node: NodeId) -> Option<Arc<RoaringTreemap>> {
        self.cache.chains.get(&(self.room, node))
    }

    pub(super) fn insert_chain(&self, node: NodeId, chain: &Arc<RoaringTreemap>) {
        self.cache.chains.insert((self.room, node), chain.clone());
    }
}
