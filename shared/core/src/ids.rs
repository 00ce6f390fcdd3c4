//! Interned ids: the integers that stand for rooms, users, events and state keys inside the server.
//!
//! The master gives them out; looking up an unknown id never makes one.

/// A room known to this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomNid(pub i64);

/// A user known to this server, local or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserNid(pub i64);

/// A stored event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventNid(pub i64);

/// A pair of event type and state key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKeyNid(pub i64);

/// A node of a room's state trie; local to the room, never reused. 0 is the empty map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub i64);
