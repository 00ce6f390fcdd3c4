//! The state of rooms without their members, in memory: what a device with lazy members begins with, at a cost that does not grow with the room.
//!
//! What is kept of a room is its entries at one root, which never change. At another root they are those, corrected by the difference between the two
//! tries, which costs as much as what changed in between.

use std::{collections::BTreeMap, sync::Arc};

use plexus_core::ids::{EventNid, NodeId, RoomNid, StateKeyNid};

use crate::{
    Store, StoreError,
    cache::{Cache, bounded},
};

/// Bounds the cache.
const CACHE_BYTES: u64 = 8 << 20;

/// What an entry takes up in memory, about.
const ENTRY_BYTES: u64 = 24;

/// The events of a state by key, without those of members.
pub type MemberlessState = BTreeMap<StateKeyNid, EventNid>;

/// What is kept of a room.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    root: NodeId,
    entries: Arc<MemberlessState>,
}

/// The rooms that have been asked for.
pub(crate) type Memberless = Cache<RoomNid, Kept>;

pub(crate) fn cache() -> Memberless {
    bounded(CACHE_BYTES, 300, |_, kept| kept.entries.len() as u64 * ENTRY_BYTES)
}

impl Store {
    /// A room's state without its member events.
    pub async fn state_without_members(&self, room: RoomNid, at: NodeId) -> Result<Arc<MemberlessState>, StoreError> {
        let cache = &self.caches().memberless;
        let kept = cache.get(&room);
        let entries = match kept {
            Some(kept) if kept.root == at => return Ok(kept.entries),
            Some(kept) => match self.at_root(room, kept, at).await {
                // The nodes of a root that nobody refers to any more go away.
                Err(StoreError::Node { .. }) => self.load_without_members(room, at).await?,
                there => there?,
            },
            None => self.load_without_members(room, at).await?,
        };
        let kept = Kept {
            root: at,
            entries: Arc::clone(&entries),
        };
        cache.insert(room, kept);
        Ok(entries)
    }

    async fn at_root(&self, room: RoomNid, kept: Kept, at: NodeId) -> Result<Arc<MemberlessState>, StoreError> {
        let differences = self.state_diff(room, kept.root, at).await?;
        let keys: Vec<StateKeyNid> = differences.iter().map(|difference| difference.key).collect();
        let mut entries = kept.entries;
        for (difference, is_member) in differences.iter().zip(self.are_members(&keys).await?) {
            if is_member {
                continue;
            }
            let entries = Arc::make_mut(&mut entries);
            match difference.new {
                Some(event) => entries.insert(difference.key, event),
                None => entries.remove(&difference.key),
            };
        }
        Ok(entries)
    }

    async fn load_without_members(&self, room: RoomNid, at: NodeId) -> Result<Arc<MemberlessState>, StoreError> {
        let state = self.state(room, at).await?;
        let keys: Vec<StateKeyNid> = state.iter().map(|(key, _)| *key).collect();
        let are_members = self.are_members(&keys).await?;
        let others = state.into_iter().zip(are_members).filter(|(_, is_member)| !is_member);
        Ok(Arc::new(others.map(|(entry, _)| entry).collect()))
    }

    /// For each key, whether it is that of a member event.
    async fn are_members(&self, keys: &[StateKeyNid]) -> Result<Vec<bool>, StoreError> {
        let pairs = self.state_keys(keys).await?;
        let is_member = |(key, pair): (&StateKeyNid, Option<Arc<(String, String)>>)| {
            let pair =
                pair.ok_or_else(|| StoreError::corrupt("state_keys", format!("state key {} is not there", key.0)))?;
            Ok(pair.0 == "m.room.member")
        };
        keys.iter().zip(pairs).map(is_member).collect()
    }
}
