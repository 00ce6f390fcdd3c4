//! A node of the trie, and its bytes in the database.
//!
//! The bytes are a tag (0 leaf, 1 inner), then varints (LEB128, least significant group first). A leaf: how many entries; of each the key, as the distance
//! from the one before, and the event. An inner node: a bitmap of its slots; of each child the node id and the number of entries below it.

use sha2::{Digest, Sha256};

use super::SLOTS_MAX;
use crate::{
    ids::{EventNid, NodeId, StateKeyNid},
    varint::{NoVarint, put, take},
};

/// Most entries a leaf can have, whatever the shape: bounds what damaged bytes can make us allocate.
pub const ENTRIES_MAX: usize = 256;

const TAG_LEAF: u8 = 0;
const TAG_INNER: u8 = 1;

/// A node. Immutable once it has an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Entries, sorted by key.
    Leaf(Box<[(StateKeyNid, EventNid)]>),
    /// The children that are not empty, sorted by slot.
    Inner(Box<[Child]>),
}

/// A child of an inner node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    /// Which of the parent's slots it hangs in.
    pub slot: u8,
    /// Its id.
    pub node: NodeId,
    /// How many entries are in it and below it.
    pub entries: u64,
}

/// The bytes are no node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a state node: {0}")]
pub struct CorruptNode(&'static str);

impl From<NoVarint> for CorruptNode {
    fn from(error: NoVarint) -> Self {
        Self(error.0)
    }
}

impl Node {
    /// The number of entries in it and below it.
    pub fn entries(&self) -> u64 {
        match self {
            Self::Leaf(entries) => entries.len() as u64,
            Self::Inner(children) => children.iter().map(|child| child.entries).fold(0, u64::saturating_add),
        }
    }

    /// Its children; a leaf has none.
    pub fn children(&self) -> &[Child] {
        match self {
            Self::Leaf(_) => &[],
            Self::Inner(children) => children,
        }
    }

    /// What it takes up in memory, in bytes, for caches that are bounded in bytes.
    pub fn weight_bytes(&self) -> usize {
        let inside = match self {
            Self::Leaf(entries) => size_of_val::<[_]>(entries),
            Self::Inner(children) => size_of_val::<[_]>(children),
        };
        size_of::<Self>() + inside
    }

    /// Its bytes in the database.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Leaf(entries) => {
                let mut out = Vec::with_capacity(2 + 6 * entries.len());
                out.push(TAG_LEAF);
                put(&mut out, entries.len() as u64);
                let mut before = 0_i64;
                for (key, event) in entries {
                    put(&mut out, key.0.wrapping_sub(before).cast_unsigned());
                    put(&mut out, event.0.cast_unsigned());
                    before = key.0;
                }
                out
            }
            Self::Inner(children) => {
                let mut out = Vec::with_capacity(4 + 5 * children.len());
                out.push(TAG_INNER);
                let bitmap = children.iter().fold(0_u64, |bitmap, child| bitmap | 1 << child.slot);
                put(&mut out, bitmap);
                for child in children {
                    put(&mut out, child.node.0.cast_unsigned());
                    put(&mut out, child.entries);
                }
                out
            }
        }
    }

    /// Reads what [`Node::encode`] wrote. Of a node there is exactly one encoding, so any other bytes are refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, CorruptNode> {
        let (&tag, mut rest) = bytes.split_first().ok_or(CorruptNode("no bytes"))?;
        let node = match tag {
            TAG_LEAF => decode_leaf(&mut rest)?,
            TAG_INNER => decode_inner(&mut rest)?,
            _ => return Err(CorruptNode("unknown tag")),
        };
        if !rest.is_empty() {
            return Err(CorruptNode("bytes after its end"));
        }
        Ok(node)
    }

    /// What the database holds beside the bytes, and compares when it reads them: the first 8 bytes of their SHA-256.
    pub fn checksum(encoded: &[u8]) -> i64 {
        let hash = Sha256::digest(encoded);
        hash.iter().take(8).fold(0, |sum, byte| sum << 8 | i64::from(*byte))
    }
}

fn decode_leaf(rest: &mut &[u8]) -> Result<Node, CorruptNode> {
    let count = usize::try_from(take(rest)?).unwrap_or(usize::MAX);
    if count == 0 || count > ENTRIES_MAX {
        return Err(CorruptNode("a leaf with too few or too many entries"));
    }
    let mut entries: Vec<(StateKeyNid, EventNid)> = Vec::with_capacity(count);
    for _ in 0..count {
        let distance = take(rest)?;
        let key = match entries.last() {
            None => distance.cast_signed(),
            Some((before, _)) => match (distance, before.0.checked_add_unsigned(distance)) {
                (1.., Some(key)) => key,
                _ => return Err(CorruptNode("keys out of order")),
            },
        };
        entries.push((StateKeyNid(key), EventNid(take(rest)?.cast_signed())));
    }
    Ok(Node::Leaf(entries.into()))
}

fn decode_inner(rest: &mut &[u8]) -> Result<Node, CorruptNode> {
    let bitmap = take(rest)?;
    if bitmap == 0 || bitmap >> SLOTS_MAX != 0 {
        return Err(CorruptNode(
            "an inner node with no children or with children it cannot have",
        ));
    }
    let mut children = Vec::with_capacity(bitmap.count_ones() as usize);
    for slot in (0..SLOTS_MAX).filter(|slot| bitmap & 1 << slot != 0) {
        let node = NodeId(take(rest)?.cast_signed());
        let entries = take(rest)?;
        if node == NodeId::EMPTY || entries == 0 {
            return Err(CorruptNode("an empty child"));
        }
        children.push(Child { slot, node, entries });
    }
    Ok(Node::Inner(children.into()))
}
