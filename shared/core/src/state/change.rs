//! Changing a trie: new nodes on the paths to the changes, and none where nothing changes.
//!
//! A changed subtree stays a plain value ([`Subtree`]) until it is known that it will be a node of the result, so that no id is spent on a node that a
//! shrinking parent swallows.

use std::sync::Arc;

use super::{Child, Inserted as Outcome, MissingNode, Node, Nodes, Shape, collect, load};
use crate::ids::{EventNid, NodeId, StateKeyNid};

/// What [`change`] led to.
pub type Changed = Outcome;

/// A key and its new event, or `None` to remove it.
type Change = (StateKeyNid, Option<EventNid>);

/// A subtree that is not a node yet. Canonical: `Few` exactly if it fits in one leaf.
enum Subtree {
    /// At most `leaf_max` entries, sorted by key; maybe none.
    Few(Vec<(StateKeyNid, EventNid)>),
    /// The children of an inner node, sorted by slot.
    Many(Vec<Child>),
}

/// Sets and removes keys, in one go; of several changes to one key the last counts. On an error `next` has not moved.
pub fn change(
    shape: Shape,
    root: NodeId,
    changes: &[Change],
    nodes: Nodes<'_>,
    next: &mut NodeId,
) -> Result<Changed, MissingNode> {
    let mut changes = changes.to_vec();
    changes.reverse();
    changes.sort_by_key(|(key, _)| *key);
    changes.dedup_by_key(|(key, _)| *key);
    let mut writer = Writer {
        shape,
        nodes,
        next: NodeId(next.0.max(1)),
        new_nodes: Vec::new(),
    };
    let root = match writer.change_at(root, 0, changes)? {
        None => root,
        Some(subtree) => writer.place(subtree).map_or(NodeId::EMPTY, |(node, _)| node),
    };
    *next = writer.next;
    Ok(Changed {
        root,
        new_nodes: writer.new_nodes,
    })
}

struct Writer<'a> {
    shape: Shape,
    nodes: Nodes<'a>,
    next: NodeId,
    new_nodes: Vec<(NodeId, Arc<Node>)>,
}

impl Writer<'_> {
    /// The subtree at `at` after the changes, which all belong below it; `None` if they change nothing.
    fn change_at(&mut self, at: NodeId, depth: u32, changes: Vec<Change>) -> Result<Option<Subtree>, MissingNode> {
        if changes.is_empty() {
            return Ok(None);
        }
        if at == NodeId::EMPTY {
            return Ok(self.change_entries(&[], depth, &changes));
        }
        match &*load(at, self.nodes)? {
            Node::Leaf(entries) => Ok(self.change_entries(entries, depth, &changes)),
            Node::Inner(_) if depth == self.shape.levels() => Err(MissingNode(at)),
            Node::Inner(children) => self.change_children(children, depth, changes),
        }
    }

    fn change_entries(&mut self, old: &[(StateKeyNid, EventNid)], depth: u32, changes: &[Change]) -> Option<Subtree> {
        let mut entries = old.to_vec();
        for (key, event) in changes {
            match (entries.binary_search_by_key(key, |(key, _)| *key), event) {
                (Ok(at), Some(event)) => entries[at].1 = *event,
                (Ok(at), None) => drop(entries.remove(at)),
                (Err(at), Some(event)) => entries.insert(at, (*key, *event)),
                (Err(_), None) => {}
            }
        }
        (entries != old).then(|| self.grow(entries, depth))
    }

    fn change_children(
        &mut self,
        old: &[Child],
        depth: u32,
        changes: Vec<Change>,
    ) -> Result<Option<Subtree>, MissingNode> {
        let mut slots: Vec<Option<Child>> = vec![None; 1 << self.shape.bits];
        for child in old {
            // A slot this shape does not have is damage: no key leads there.
            *slots.get_mut(usize::from(child.slot)).ok_or(MissingNode(child.node))? = Some(*child);
        }
        let mut subtrees: Vec<(u8, Subtree)> = Vec::new();
        for (slot, changes) in self.by_slot(changes, depth, |(key, _)| *key) {
            let at = slots[usize::from(slot)].map_or(NodeId::EMPTY, |child| child.node);
            if let Some(subtree) = self.change_at(at, depth + 1, changes)? {
                slots[usize::from(slot)] = None;
                subtrees.push((slot, subtree));
            }
        }
        if subtrees.is_empty() {
            return Ok(None);
        }
        let unchanged: Vec<Child> = slots.into_iter().flatten().collect();
        if let Some(few) = self.gathered(&unchanged, &subtrees)? {
            return Ok(Some(Subtree::Few(few)));
        }
        let mut children = unchanged;
        for (slot, subtree) in subtrees {
            children.extend(self.place(subtree).map(|(node, entries)| Child { slot, node, entries }));
        }
        children.sort_by_key(|child| child.slot);
        Ok(Some(Subtree::Many(children)))
    }

    /// All entries below an inner node's children, if they fit in one leaf.
    fn gathered(
        &self,
        unchanged: &[Child],
        changed: &[(u8, Subtree)],
    ) -> Result<Option<Vec<(StateKeyNid, EventNid)>>, MissingNode> {
        let mut total = unchanged.iter().map(|child| child.entries).fold(0, u64::saturating_add);
        let mut entries = Vec::new();
        for (_, subtree) in changed {
            match subtree {
                Subtree::Few(few) => entries.extend_from_slice(few),
                Subtree::Many(_) => return Ok(None),
            }
        }
        total = total.saturating_add(entries.len() as u64);
        if total > self.shape.leaf_max as u64 {
            return Ok(None);
        }
        for child in unchanged {
            collect(child.node, Shape::DEEPEST, self.nodes, &mut entries)?;
        }
        entries.sort_by_key(|(key, _)| *key);
        Ok(Some(entries))
    }

    /// A subtree with just these entries, sorted by key.
    fn grow(&mut self, entries: Vec<(StateKeyNid, EventNid)>, depth: u32) -> Subtree {
        if entries.len() <= self.shape.leaf_max {
            return Subtree::Few(entries);
        }
        let mut children = Vec::new();
        for (slot, entries) in self.by_slot(entries, depth, |(key, _)| *key) {
            let subtree = self.grow(entries, depth + 1);
            children.extend(self.place(subtree).map(|(node, entries)| Child { slot, node, entries }));
        }
        Subtree::Many(children)
    }

    /// Gives a subtree an id; an empty one needs none. Returns the number of its entries too.
    fn place(&mut self, subtree: Subtree) -> Option<(NodeId, u64)> {
        let node = match subtree {
            Subtree::Few(entries) if entries.is_empty() => return None,
            Subtree::Few(entries) => Node::Leaf(entries.into()),
            Subtree::Many(children) => Node::Inner(children.into()),
        };
        let id = self.next;
        self.next.0 += 1;
        let entries = node.entries();
        self.new_nodes.push((id, Arc::new(node)));
        Some((id, entries))
    }

    /// Splits items by the slot their key takes at `depth`, in the order of the slots; within a slot they keep their order.
    fn by_slot<T>(&self, items: Vec<T>, depth: u32, key: impl Fn(&T) -> StateKeyNid) -> Vec<(u8, Vec<T>)> {
        let mut groups: Vec<Vec<T>> = Vec::new();
        groups.resize_with(1 << self.shape.bits, Vec::new);
        for item in items {
            groups[usize::from(self.shape.slot(key(&item), depth))].push(item);
        }
        (0..).zip(groups).filter(|(_, group)| !group.is_empty()).collect()
    }
}
