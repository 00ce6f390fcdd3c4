//! A room's state as a persistent map: a copy-on-write trie from interned state key to interned event.
//!
//! Changing the map writes the nodes on the path to the change and shares all others, so a root is a cheap name for a room's whole state at one event, and
//! two roots are compared at the cost of their difference. The shape is canonical: it follows from the entries alone, however they came to be there.
//! Which node ids a trie has does follow from its history; equal ids mean equal maps, different ids mean nothing.
//!
//! Nothing here loads a node. The caller passes what it has in memory as a [`Nodes`] function; when a node is missing, the answer is [`MissingNode`], and
//! the caller loads it and tries again. [`frontier`] names all nodes that are missing right below those in memory, so that a whole map is loaded level by
//! level and not node by node.

mod change;
mod compare;
mod diff;
mod node;
mod shape;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use self::{
    change::{Changed, change},
    compare::{Compared, Conflict, StateSet, compare},
    diff::{Difference, diff},
    node::{Child, CorruptNode, ENTRIES_MAX, Node},
    shape::{SLOTS_MAX, Shape},
};
use crate::ids::{EventNid, NodeId, StateKeyNid};

/// The nodes the caller has in memory.
pub type Nodes<'a> = &'a dyn Fn(NodeId) -> Option<Arc<Node>>;

/// The operation needs a node that is not in memory: load it and try again.
///
/// A trie that is deeper than its keys allow, which only damaged data makes, ends in this error too, with a node that is in memory; so a caller that has
/// just handed in the node it is asked for again must give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("state node {} is not in memory, or the trie is damaged", .0.0)]
pub struct MissingNode(pub NodeId);

/// What is here of a room's state. Nobody looks up a member without saying what it means that none is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomState {
    /// All of it.
    Full(NodeId),
    /// All of it but for members: the room was joined a moment ago, and they are on their way.
    Partial(NodeId),
}

impl RoomState {
    /// What is here of it.
    pub fn root(self) -> NodeId {
        match self {
            Self::Full(root) | Self::Partial(root) => root,
        }
    }

    /// Whether a piece of it that is not found is not there.
    pub fn tells_absence_of(self, kind: &str) -> bool {
        match self {
            Self::Full(_) => true,
            Self::Partial(_) => kind != "m.room.member",
        }
    }
}

/// What a batch of changes led to.
#[derive(Clone, Debug)]
pub struct Inserted {
    /// The map after the changes; the old root if nothing changed.
    pub root: NodeId,
    /// The nodes that have to be stored before anything may refer to `root`; children come before their parents.
    pub new_nodes: Vec<(NodeId, Arc<Node>)>,
}

/// The event that sets `key` in the map at `root`.
pub fn get(root: NodeId, key: StateKeyNid, nodes: Nodes<'_>) -> Result<Option<EventNid>, MissingNode> {
    get_shaped(Shape::ROOM, root, key, nodes)
}

/// [`get`] in a trie of another shape.
pub fn get_shaped(
    shape: Shape,
    root: NodeId,
    key: StateKeyNid,
    nodes: Nodes<'_>,
) -> Result<Option<EventNid>, MissingNode> {
    let mut at = root;
    for depth in 0..=shape.levels() {
        if at == NodeId::EMPTY {
            return Ok(None);
        }
        match &*load(at, nodes)? {
            Node::Leaf(entries) => return Ok(find(entries, key)),
            Node::Inner(children) => match child_at(children, shape.slot(key, depth)) {
                Some(child) => at = child.node,
                None => return Ok(None),
            },
        }
    }
    Err(MissingNode(at))
}

/// Sets keys, in one go; of several values for one key the last counts. `next` is the first node id never used in this room, and moves.
pub fn insert(
    root: NodeId,
    entries: &[(StateKeyNid, EventNid)],
    nodes: Nodes<'_>,
    next: &mut NodeId,
) -> Result<Inserted, MissingNode> {
    let changes: Vec<_> = entries.iter().map(|(key, event)| (*key, Some(*event))).collect();
    change(Shape::ROOM, root, &changes, nodes, next)
}

/// Removes keys, in one go; a key that is not there changes nothing. `next` is the first node id never used in this room, and moves.
pub fn remove(
    root: NodeId,
    keys: &[StateKeyNid],
    nodes: Nodes<'_>,
    next: &mut NodeId,
) -> Result<Inserted, MissingNode> {
    let changes: Vec<_> = keys.iter().map(|key| (*key, None)).collect();
    change(Shape::ROOM, root, &changes, nodes, next)
}

/// Appends every entry of the map to `out`, in no particular order.
pub fn entries(root: NodeId, nodes: Nodes<'_>, out: &mut Vec<(StateKeyNid, EventNid)>) -> Result<(), MissingNode> {
    collect(root, Shape::DEEPEST, nodes, out)
}

/// The number of entries in the map, from the root node alone.
pub fn len(root: NodeId, nodes: Nodes<'_>) -> Result<u64, MissingNode> {
    if root == NodeId::EMPTY {
        return Ok(0);
    }
    Ok(load(root, nodes)?.entries())
}

/// Appends to `out` the nodes of the map that are not in memory though their parent is (or that are the root).
///
/// Nothing appended means that the whole map is in memory. Loading what is named and asking again ends after as many rounds as the trie has levels.
pub fn frontier(root: NodeId, nodes: Nodes<'_>, out: &mut Vec<NodeId>) {
    let mut level = vec![root];
    for _ in 0..=Shape::DEEPEST {
        let mut below = Vec::new();
        for at in level {
            match (at != NodeId::EMPTY).then(|| nodes(at)) {
                None => {}
                Some(None) => out.push(at),
                Some(Some(node)) => below.extend(node.children().iter().map(|child| child.node)),
            }
        }
        level = below;
    }
}

/// Appends the entries below `at`, at most `levels` levels down.
fn collect(
    at: NodeId,
    levels: u32,
    nodes: Nodes<'_>,
    out: &mut Vec<(StateKeyNid, EventNid)>,
) -> Result<(), MissingNode> {
    if at == NodeId::EMPTY {
        return Ok(());
    }
    match &*load(at, nodes)? {
        Node::Leaf(entries) => out.extend_from_slice(entries),
        Node::Inner(children) => {
            let levels = levels.checked_sub(1).ok_or(MissingNode(at))?;
            for child in children {
                collect(child.node, levels, nodes, out)?;
            }
        }
    }
    Ok(())
}

fn load(at: NodeId, nodes: Nodes<'_>) -> Result<Arc<Node>, MissingNode> {
    nodes(at).ok_or(MissingNode(at))
}

fn find(entries: &[(StateKeyNid, EventNid)], key: StateKeyNid) -> Option<EventNid> {
    let at = entries.binary_search_by_key(&key, |(key, _)| *key).ok()?;
    Some(entries[at].1)
}

fn child_at(children: &[Child], slot: u8) -> Option<Child> {
    let at = children.binary_search_by_key(&slot, |child| child.slot).ok()?;
    Some(children[at])
}
