//! What differs between two tries, at the cost of the difference.

use super::{MissingNode, Node, Nodes, Shape, child_at, collect, load};
use crate::ids::{EventNid, NodeId, StateKeyNid};

/// A key that two maps do not agree on. At least one of `old` and `new` is there, and they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key.
    pub key: StateKeyNid,
    /// Its event in the old map.
    pub old: Option<EventNid>,
    /// Its event in the new map.
    pub new: Option<EventNid>,
}

/// The keys that the maps at `old` and `new` do not agree on, in no particular order. Subtrees with equal ids are not looked at.
pub fn diff(old: NodeId, new: NodeId, nodes: Nodes<'_>) -> Result<Vec<Difference>, MissingNode> {
    let mut out = Vec::new();
    diff_at(old, new, Shape::DEEPEST, nodes, &mut out)?;
    Ok(out)
}

fn diff_at(
    old: NodeId,
    new: NodeId,
    levels: u32,
    nodes: Nodes<'_>,
    out: &mut Vec<Difference>,
) -> Result<(), MissingNode> {
    if old == new {
        return Ok(());
    }
    if old != NodeId::EMPTY && new != NodeId::EMPTY {
        let (old_node, new_node) = (load(old, nodes)?, load(new, nodes)?);
        if let (Node::Inner(old_children), Node::Inner(new_children)) = (&*old_node, &*new_node) {
            let levels = levels.checked_sub(1).ok_or(MissingNode(new))?;
            for child in old_children {
                let other = child_at(new_children, child.slot).map_or(NodeId::EMPTY, |child| child.node);
                diff_at(child.node, other, levels, nodes, out)?;
            }
            for child in new_children {
                if child_at(old_children, child.slot).is_none() {
                    diff_at(NodeId::EMPTY, child.node, levels, nodes, out)?;
                }
            }
            return Ok(());
        }
    }
    // At least one side fits in a leaf, so the sides differ in nearly everything.
    diff_entries(&sorted(old, levels, nodes)?, &sorted(new, levels, nodes)?, out);
    Ok(())
}

fn sorted(at: NodeId, levels: u32, nodes: Nodes<'_>) -> Result<Vec<(StateKeyNid, EventNid)>, MissingNode> {
    let mut entries = Vec::new();
    collect(at, levels, nodes, &mut entries)?;
    entries.sort_unstable();
    Ok(entries)
}

fn diff_entries(mut old: &[(StateKeyNid, EventNid)], mut new: &[(StateKeyNid, EventNid)], out: &mut Vec<Difference>) {
    while let Some(key) = [old.first(), new.first()]
        .into_iter()
        .flatten()
        .map(|(key, _)| *key)
        .min()
    {
        let (old_event, new_event) = (take_key(&mut old, key), take_key(&mut new, key));
        if old_event != new_event {
            out.push(Difference {
                key,
                old: old_event,
                new: new_event,
            });
        }
    }
}

fn take_key(entries: &mut &[(StateKeyNid, EventNid)], key: StateKeyNid) -> Option<EventNid> {
    let (&(first, event), rest) = entries.split_first()?;
    if first != key {
        return None;
    }
    *entries = rest;
    Some(event)
}
