//! What the database holds of a room, against what the rules make of the room's events.

use std::{collections::BTreeMap, sync::Arc};

use plexus_core::{
    ids::NodeId,
    row::{EventStatus, Membership},
};
use plexus_storage::{
    Store,
    db::{Database, DatabaseConfig},
    events::StoredEvent,
    room_heads,
    rooms::RoomInfo,
};
use plexus_testkit::dag::{self, Dag, Index};
use plexus_tests::{Cluster, run_plexus};

/// Connections to the database: what is looked at comes one after the other.
const CONNECTIONS: usize = 2;

/// The event of each type and key, by id.
type State = BTreeMap<(String, String), String>;

/// What the operator's command says of a room: that everything stored of it is what its events lead to.
pub(super) async fn verify(cluster: &Cluster, room: &str) {
    let (folder, room) = (cluster.folder().to_owned(), room.to_owned());
    let running =
        tokio::task::spawn_blocking(move || run_plexus(&folder, &["room", "verify", &room, "--config", "plexus.toml"]));
    let output = running.await.expect("plexus runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains(" 0 disagreements"),
        "{output:?}"
    );
}

/// The database of a cluster, beside the processes that use it.
pub(super) async fn open_database(cluster: &Cluster) -> Database {
    let config = DatabaseConfig::Postgres {
        url: cluster.database_url().expect("many processes share a server"),
        pool_max: CONNECTIONS,
    };
    Database::open(&config).await.expect("the server is there")
}

/// The tables of a cluster, as they are now.
pub(super) struct Stored {
    store: Store,
}

impl Stored {
    /// Opens the database beside the processes that use it. What is read once is remembered, so this is for one look.
    pub(super) async fn open(cluster: &Cluster) -> Self {
        Self {
            store: Store::new(open_database(cluster).await),
        }
    }

    /// All of a room is there: each of these events with the status and the states that the rules give it; and the room's state is what its branches come to.
    pub(super) async fn check(&self, dag: &mut Dag, told: &[Index]) {
        let room = self.store.room(&dag.room_id()).await.expect("rooms can be read");
        let room = room.expect("the room is known");
        for at in told {
            self.check_event(&room, dag, *at).await;
        }
        self.check_head(&room, dag).await;
    }

    async fn check_event(&self, room: &RoomInfo, dag: &Dag, at: Index) {
        let event = &dag.events[at];
        let stored = self.store.known_event(room.nid, event.body.event_id()).await;
        let stored = stored.expect("events can be read");
        let stored: Arc<StoredEvent> = stored.unwrap_or_else(|| panic!("event {at} was acknowledged and is gone"));
        assert_eq!(stored.body.json(), event.body.json(), "event {at}");
        assert_eq!(stored.status == EventStatus::Rejected, event.is_rejected, "event {at}");
        assert_eq!(stored.room_order.is_some(), stored.status == EventStatus::Accepted);
        let states = [(stored.state_before, event.before), (stored.state_after, event.after)];
        for (stored, wanted) in states {
            assert_eq!(self.state(room, stored).await, wanted_state(dag, wanted), "event {at}");
        }
    }

    async fn check_head(&self, room: &RoomInfo, dag: &mut Dag) {
        let head = room_heads::load(self.store.db(), room.nid)
            .await
            .expect("heads can be read");
        let head = head.expect("the room has a history");
        let tips = self.store.events(&head.extremities).await.expect("events can be read");
        assert_eq!(tips.len(), head.extremities.len());
        assert!(tips.iter().all(|tip| tip.status == EventStatus::Accepted));
        let tips: Vec<Index> = tips.iter().filter_map(|tip| dag.find(tip.body.event_id())).collect();
        let wanted = dag.state_before(&tips);
        let state = self.state(room, head.room_root).await;
        assert_eq!(state, wanted_state(dag, wanted), "the room's state");
        self.check_members(room, (head.room_root, head.joined)).await;
    }

    /// The history of memberships ends with what the room's state says.
    async fn check_members(&self, room: &RoomInfo, (node, joined): (NodeId, i64)) {
        let mut in_state = BTreeMap::new();
        for event in self
            .store
            .state_events(room.nid, node)
            .await
            .expect("states can be read")
        {
            if let (Some(membership), Some(user)) = (event.body.membership(), event.body.state_key()) {
                in_state.insert(user.to_owned(), membership);
            }
        }
        let mut in_history = BTreeMap::new();
        let members = self.store.room_members(room.nid).await.expect("members can be read");
        for (user, entry) in members.iter() {
            let user = self.store.user_id(user).await.expect("users can be read");
            in_history.insert(user.expect("members are users").to_string(), entry.membership);
        }
        // Who came on a branch that did not hold has left.
        in_history.retain(|user, membership| in_state.contains_key(user) || *membership != Membership::Leave);
        assert_eq!(in_history, in_state);
        let in_room = in_state.values().filter(|is| **is == Membership::Join).count();
        assert_eq!(i64::try_from(in_room), Ok(joined));
    }

    async fn state(&self, room: &RoomInfo, node: NodeId) -> State {
        let events = self
            .store
            .state_events(room.nid, node)
            .await
            .expect("states can be read");
        let entries = events.iter().map(|event| {
            let key = event.body.state_key().expect("a state event").to_owned();
            ((event.body.kind().to_owned(), key), event.body.event_id().to_string())
        });
        entries.collect()
    }
}

fn wanted_state(dag: &Dag, root: NodeId) -> State {
    let entries = dag.facts.state(root).into_iter();
    entries
        .map(|(key, nid)| (key, dag.events[dag::index(nid)].body.event_id().to_string()))
        .collect()
}
