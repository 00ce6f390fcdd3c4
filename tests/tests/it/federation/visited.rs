//! A room of a double's, in which a user of ours is.

use http::Method;
use plexus_core::room_version::RoomVersion;
use plexus_testkit::dag::{Attempt, Dag, Index};
use plexus_tests::{Answer, Cluster, Http, Peer, Remote, User, fresh_name};
use serde_json::{Value, json};

/// The room, told to the master as a worker tells it.
pub(super) struct Visited {
    pub(super) peer: Peer,
    pub(super) room: Remote,
    /// Who made it.
    pub(super) alice: String,
    /// Who came.
    pub(super) dave: User,
    pub(super) server: String,
    pub(super) http: Http,
}

impl Visited {
    pub(super) async fn new(cluster: &Cluster, version: RoomVersion) -> Self {
        let peer = Peer::start().await;
        let (alice, name) = (peer.user("alice"), fresh_name("room"));
        let room_id = format!("!{name}:{}", peer.name());
        let mut dag = Dag::made_by(&alice, &room_id, version, 1, json!({"org.example.name": name}));
        let dave = User::register(&cluster.http(), "dave").await;
        dag.add(&[dag.last()], &Attempt::member(&dave.id, &dave.id, "join"));
        let room = Remote::new(dag, cluster.worker());
        room.tell(&(0..room.dag.events.len()).collect::<Vec<_>>()).await;
        Self {
            server: cluster.server_name().to_owned(),
            http: cluster.direct("reader1"),
            peer,
            room,
            alice,
            dave,
        }
    }

    /// Somebody does something after what was done last, and everybody hears of it.
    pub(super) async fn add(&mut self, attempt: &Attempt) -> Index {
        let last = self.room.dag.last();
        let at = self.room.dag.add(&[last], attempt);
        self.room.tell(&[at]).await;
        at
    }

    /// The maker of the room says something.
    pub(super) async fn say(&mut self, text: &str) -> Index {
        let attempt = Attempt::message(&self.alice, text);
        self.add(&attempt).await
    }

    /// An event as it goes between servers.
    pub(super) fn pdu(&self, at: Index) -> Value {
        serde_json::from_str(self.room.dag.events[at].body.json()).expect("an event is JSON")
    }

    /// What a server is answered by ours.
    pub(super) async fn asks(&self, peer: &Peer, target: &str) -> Answer {
        peer.ask(&self.http, &self.server, Method::GET, target, None).await
    }

    /// The same with a body.
    pub(super) async fn posts(&self, peer: &Peer, target: &str, body: &Value) -> Answer {
        let body = body.to_string();
        peer.ask(&self.http, &self.server, Method::POST, target, Some(&body))
            .await
    }
}
