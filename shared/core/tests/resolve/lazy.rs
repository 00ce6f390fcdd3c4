//! Resolution with nothing in memory at first, and then just what it asks for.

use std::{collections::BTreeSet, sync::Arc};

use plexus_core::{
    auth_chain::RoomChains,
    event::EventBody,
    ids::{EventNid, NodeId, StateKeyNid},
    resolve::{Facts, Known, Missing, Resolved, resolve},
    state::Node,
};
use plexus_testkit::dag::{Dag, DagFacts};

/// How often it may ask. The rooms are small: a chain is followed a link at a time, but no further than it is long.
const ROUNDS_MAX: usize = 200;

/// What has been loaded so far.
struct Loaded<'a> {
    all: &'a DagFacts,
    nodes: BTreeSet<NodeId>,
    events: BTreeSet<EventNid>,
    auth_parents: BTreeSet<EventNid>,
    state_keys: BTreeSet<(String, String)>,
}

impl Loaded<'_> {
    /// Loads what is missing, all of which must be new.
    fn load(&mut self, missing: Missing) {
        assert!(!missing.is_empty(), "it must say what is missing");
        assert!(missing.nodes.into_iter().all(|node| self.nodes.insert(node)));
        assert!(missing.events.into_iter().all(|event| self.events.insert(event)));
        assert!(
            missing
                .auth_parents
                .into_iter()
                .all(|event| self.auth_parents.insert(event))
        );
        assert!(missing.state_keys.into_iter().all(|key| self.state_keys.insert(key)));
    }
}

impl Facts for Loaded<'_> {
    fn node(&self, id: NodeId) -> Option<Arc<Node>> {
        self.nodes.contains(&id).then(|| self.all.node(id)).flatten()
    }

    fn event(&self, event: EventNid) -> Option<Known> {
        self.events.contains(&event).then(|| self.all.event(event)).flatten()
    }

    fn auth_parents(&self, event: EventNid) -> Option<Arc<[EventNid]>> {
        self.auth_parents
            .contains(&event)
            .then(|| self.all.auth_parents(event))
            .flatten()
    }

    fn state_key(&self, kind: &str, state_key: &str) -> Option<Option<StateKeyNid>> {
        let is_loaded = self.state_keys.contains(&(kind.to_owned(), state_key.to_owned()));
        is_loaded.then(|| self.all.state_key(kind, state_key)).flatten()
    }

    fn create(&self) -> Arc<EventBody> {
        self.all.create()
    }
}

/// Resolves, loading what is asked for until nothing is.
pub(crate) fn resolve_lazily(dag: &Dag, roots: &[NodeId], chains: Option<RoomChains<'_>>) -> Resolved {
    let mut loaded = Loaded {
        all: &dag.facts,
        nodes: BTreeSet::new(),
        events: BTreeSet::new(),
        auth_parents: BTreeSet::new(),
        state_keys: BTreeSet::new(),
    };
    for _ in 0..ROUNDS_MAX {
        match resolve(dag.rules, roots, &loaded, chains) {
            Ok(resolved) => return resolved,
            Err(missing) => loaded.load(missing),
        }
    }
    panic!("it never has enough");
}
