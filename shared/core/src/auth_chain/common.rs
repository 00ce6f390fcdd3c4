//! Which events are in the chain of something that all states have.
//!
//! That is nearly the whole room, so it is not walked if it need not be: a subtree of the state whose newest event is older than all candidates cannot lead
//! to any, and the chain of a larger one is a bitmap that is remembered.

use std::{collections::BTreeSet, sync::Arc};

use roaring::RoaringTreemap;
use smallvec::SmallVec;

use super::{AuthGraph, MissingChains, RoomChains, parents};
use crate::{
    ids::{EventNid, NodeId},
    state::{Child, Compared, Node},
};

/// A subtree of at most this many entries gets its chain by one walk; a larger one, from its children. Walking many small ones would go through the events
/// that all of them lead to, the power levels above all, again and again.
const WALK_ENTRIES_MAX: u64 = 512;

/// Up to so many candidates are looked up one by one in a chain.
const FEW: u64 = 16;

/// More levels than any trie has: its keys have 64 bits.
const LEVELS_MAX: u32 = 65;

/// Takes from `candidates` what is in the chain of an entry that all states have.
pub(super) fn remove(
    graph: &AuthGraph<'_>,
    compared: &Compared,
    candidates: &BTreeSet<EventNid>,
) -> Result<BTreeSet<EventNid>, MissingChains> {
    let mut common = Common {
        graph,
        candidates: candidates.iter().map(|event| event.0.cast_unsigned()).collect(),
        missing: MissingChains::default(),
    };
    if let Some(chains) = graph.chains {
        common.remove_subtrees(chains, &compared.shared);
    } else {
        common.walk_subtrees(&compared.shared);
    }
    common.walk(compared.equal.iter().map(|(_, event)| *event));
    let found = common.candidates.iter().map(|event| EventNid(event.cast_signed()));
    common.missing.or(found.collect())
}

struct Common<'a> {
    graph: &'a AuthGraph<'a>,
    candidates: RoaringTreemap,
    missing: MissingChains,
}

impl Common<'_> {
    /// The oldest candidate that is left. Only newer events lead to it.
    fn oldest(&self) -> Option<EventNid> {
        self.candidates.min().map(|event| EventNid(event.cast_signed()))
    }

    fn remove_subtrees(&mut self, chains: RoomChains<'_>, shared: &[Child]) {
        let mut shared = shared.to_vec();
        // The largest have most of the candidates in their chains, and what is left then is often too new for all others.
        shared.sort_by_key(|child| std::cmp::Reverse(child.entries));
        for child in shared {
            if self.candidates.is_empty() {
                return;
            }
            let Some(newest) = self.newest_below(chains, child.node, LEVELS_MAX) else {
                continue;
            };
            let older = self.candidates.rank(newest.0.cast_unsigned());
            if older > 0
                && let Some(chain) = self.chain_of(chains, child.node, LEVELS_MAX)
            {
                self.remove_chain(&chain, older);
            }
        }
    }

    /// Takes a chain from the candidates, of which only the `older` oldest can be in it.
    fn remove_chain(&mut self, chain: &RoaringTreemap, older: u64) {
        if older > FEW {
            self.candidates -= chain;
            return;
        }
        let few = usize::try_from(older).unwrap_or(usize::MAX);
        let found: SmallVec<[u64; 8]> = self
            .candidates
            .iter()
            .take(few)
            .filter(|event| chain.contains(*event))
            .collect();
        for event in found {
            self.candidates.remove(event);
        }
    }

    fn walk_subtrees(&mut self, shared: &[Child]) {
        for child in shared {
            let mut entries = Vec::new();
            self.entries_below(child.node, LEVELS_MAX, &mut entries);
            self.walk(entries.into_iter());
        }
    }

    /// Takes from the candidates what is in the chains of `events`.
    fn walk(&mut self, events: impl Iterator<Item = EventNid>) {
        let Some(mut oldest) = self.oldest() else {
            return;
        };
        let mut queue: BTreeSet<EventNid> = BTreeSet::new();
        for event in events.filter(|event| *event > oldest) {
            queue.extend(parents(self.graph.edges, event, &mut self.missing.auth_parents).iter());
        }
        while let Some(event) = queue.pop_last()
            && event >= oldest
        {
            queue.extend(parents(self.graph.edges, event, &mut self.missing.auth_parents).iter());
            if self.candidates.remove(event.0.cast_unsigned()) {
                match self.oldest() {
                    Some(next) => oldest = next,
                    None => return,
                }
            }
        }
    }

    /// The newest event below a node; none if nodes are missing.
    fn newest_below(&mut self, chains: RoomChains<'_>, at: NodeId, levels: u32) -> Option<EventNid> {
        if let Some(newest) = chains.newest(at) {
            return Some(newest);
        }
        match &*self.node(at, levels)? {
            // As quickly seen as remembered.
            Node::Leaf(entries) => entries.iter().map(|(_, event)| *event).max(),
            Node::Inner(children) => {
                // All of them, even if one is missing: then all that is missing is known.
                let newest: Vec<_> = children
                    .iter()
                    .map(|child| self.newest_below(chains, child.node, levels - 1))
                    .collect();
                let newest = newest.into_iter().collect::<Option<Vec<_>>>()?.into_iter().max()?;
                chains.insert_newest(at, newest);
                Some(newest)
            }
        }
    }

    /// The chains of all events below a node; none if something is missing.
    fn chain_of(&mut self, chains: RoomChains<'_>, at: NodeId, levels: u32) -> Option<Arc<RoaringTreemap>> {
        if let Some(chain) = chains.chain(at) {
            return Some(chain);
        }
        let node = self.node(at, levels)?;
        let chain = if node.entries() <= WALK_ENTRIES_MAX {
            let mut entries = Vec::new();
            let missing = self.missing.nodes.len();
            self.entries_below(at, levels, &mut entries);
            if self.missing.nodes.len() > missing {
                return None;
            }
            self.walk_whole(entries)?
        } else {
            let below: Vec<_> = node
                .children()
                .iter()
                .map(|child| self.chain_of(chains, child.node, levels - 1))
                .collect();
            let mut whole = RoaringTreemap::new();
            for chain in below.into_iter().collect::<Option<Vec<_>>>()? {
                whole |= &*chain;
            }
            whole
        };
        let chain = Arc::new(chain);
        chains.insert_chain(at, &chain);
        Some(chain)
    }

    /// The chains of some events, down to the start of the room; none if something is missing.
    fn walk_whole(&mut self, events: Vec<EventNid>) -> Option<RoaringTreemap> {
        let before = self.missing.auth_parents.len();
        let mut queue: BTreeSet<EventNid> = BTreeSet::new();
        for event in events {
            queue.extend(parents(self.graph.edges, event, &mut self.missing.auth_parents).iter());
        }
        let mut chain = RoaringTreemap::new();
        while let Some(event) = queue.pop_last() {
            chain.insert(event.0.cast_unsigned());
            queue.extend(parents(self.graph.edges, event, &mut self.missing.auth_parents).iter());
        }
        (self.missing.auth_parents.len() == before).then_some(chain)
    }

    fn entries_below(&mut self, at: NodeId, levels: u32, out: &mut Vec<EventNid>) {
        let Some(node) = self.node(at, levels) else {
            return;
        };
        if let Node::Leaf(entries) = &*node {
            out.extend(entries.iter().map(|(_, event)| *event));
        }
        for child in node.children() {
            self.entries_below(child.node, levels - 1, out);
        }
    }

    /// A node; none if it is missing, or so deep that the trie is damaged.
    fn node(&mut self, at: NodeId, levels: u32) -> Option<Arc<Node>> {
        let found = (self.graph.nodes)(at).filter(|_| levels > 0);
        if found.is_none() {
            self.missing.nodes.push(at);
        }
        found
    }
}
