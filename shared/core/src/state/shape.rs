//! How wide a state trie is, and which way a key takes through it.

use crate::ids::{NodeId, StateKeyNid};

impl NodeId {
    /// The map without entries. No node has this id.
    pub const EMPTY: Self = Self(0);
}

/// Most children an inner node can have, whatever the shape.
pub const SLOTS_MAX: u8 = 32;

/// The measures of a trie. All tries of a database have the same: the shape is part of what a node id means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The fan-out of inner nodes as a power of two, 1 to 5.
    pub bits: u32,
    /// A map of at most this many entries is one leaf; a larger one is an inner node. At least 1.
    pub leaf_max: usize,
}

impl Shape {
    /// The shape of the state of rooms, chosen with `benches/state.rs`, which weighs the bytes written for one change against the nodes on the way to a
    /// key. Of 1,000 entries: 115 bytes and 3 nodes, where 8/8 has 94 bytes and 4 nodes and 32/32 has 195 bytes and 2.4.
    pub const ROOM: Self = Self { bits: 4, leaf_max: 16 };

    /// No trie of any shape has more levels of inner nodes: the keys have 64 bits, and each level uses up at least one.
    pub(super) const DEEPEST: u32 = 64;

    /// The levels of inner nodes after which the bits of the keys are used up.
    pub(super) const fn levels(self) -> u32 {
        u64::BITS.div_ceil(self.bits)
    }

    /// The child of an inner node at `depth` that leads to `key`.
    pub(super) fn slot(self, key: StateKeyNid, depth: u32) -> u8 {
        let used = self.bits * depth;
        let rest = mixed(key).checked_shl(used).unwrap_or(0);
        u8::try_from(rest >> (u64::BITS - self.bits)).expect("bits is at most 5")
    }
}

/// Spreads keys, which are given out densely, over all 64 bits. Every step can be undone, so two keys never collide.
fn mixed(key: StateKeyNid) -> u64 {
    let mut bits = key.0.cast_unsigned();
    bits ^= bits >> 32;
    bits = bits.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits ^= bits >> 29;
    bits = bits.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    bits ^ (bits >> 32)
}
