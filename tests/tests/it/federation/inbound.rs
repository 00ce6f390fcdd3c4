//! What another server sends, and what becomes of it here: by a double that signs properly and says whatever a test wants.
//!
//! The rooms are the double's, told to the master as a worker tells it; one process alone has no door for that, so these rooms are on many.

mod edus;
mod holes;
mod hostile;
mod missing;
mod transactions;

use plexus_core::room_version::RoomVersion;
use plexus_testkit::dag::{Attempt, Dag, Index};
use plexus_tests::{
    Answer, Cluster, Http, PATIENCE, Peer, Remote, Shared, Topology, User, encode, eventually, fresh_name,
};
use serde_json::{Value, json};

static SPLIT: Shared = Shared::federated(Topology::Split);

/// A room of a double's, in which a user of ours is.
struct Visited {
    peer: Peer,
    room: Remote,
    /// Who made it.
    alice: String,
    /// Who came.
    dave: User,
    server: String,
    http: Http,
}

impl Visited {
    async fn new(cluster: &Cluster, version: RoomVersion) -> Self {
        Self::of(cluster, Peer::start().await, version).await
    }

    /// A room of this double's.
    async fn of(cluster: &Cluster, peer: Peer, version: RoomVersion) -> Self {
        let (alice, name) = (peer.user("alice"), fresh_name("room"));
        let room_id = format!("!{name}:{}", peer.name());
        let mut dag = Dag::made_by(&alice, &room_id, version, 1, json!({"org.example.name": name}));
        let dave = User::register(&cluster.http(), "dave").await;
        // The master believes its workers, so that it does not matter who has signed this one.
        let last = dag.last();
        dag.add(&[last], &Attempt::member(&dave.id, &dave.id, "join"));
        let room = Remote::new(dag, cluster.worker());
        room.tell(&(0..room.dag.events.len()).collect::<Vec<_>>()).await;
        // Whoever takes the transactions has heard of it.
        let (http, members) = (
            cluster.direct("reader1"),
            format!("/_matrix/client/v3/rooms/{}/members", encode(&room.room())),
        );
        eventually(PATIENCE, "the room to be known", async || {
            let answer = dave.at(&http).http.get(&members).await;
            if answer.status == 200 {
                Ok(())
            } else {
                Err(answer.text())
            }
        })
        .await;
        Self {
            server: cluster.server_name().to_owned(),
            http,
            peer,
            room,
            alice,
            dave,
        }
    }

    /// Says something after some events, without telling anybody.
    fn say_after(&mut self, prev: &[Index], text: &str) -> Index {
        self.room.dag.add(prev, &Attempt::message(&self.alice, text))
    }

    fn say(&mut self, text: &str) -> Index {
        let last = self.room.dag.last();
        self.say_after(&[last], text)
    }

    fn json(&self, at: Index) -> &str {
        self.room.dag.events[at].body.json()
    }

    fn id(&self, at: Index) -> String {
        self.room.id(at)
    }

    /// Sends events in a transaction.
    async fn send(&self, events: &[Index]) -> Answer {
        let pdus: Vec<&str> = events.iter().map(|at| self.json(*at)).collect();
        self.send_pdus(&pdus).await
    }

    async fn send_pdus(&self, pdus: &[&str]) -> Answer {
        let id = fresh_name("txn");
        self.peer.transaction(&self.http, &self.server, &id, pdus, &[]).await
    }

    /// Sends events, all of which are taken without a word.
    async fn send_well(&self, events: &[Index]) {
        let told = self.send(events).await.ok();
        for at in events {
            assert_eq!(told["pdus"][self.id(*at)], json!({}), "{told}");
        }
    }

    /// Whether our user sees an event.
    async fn sees(&self, at: Index) -> bool {
        let id = encode(&self.id(at));
        let target = format!("/_matrix/client/v3/rooms/{}/event/{id}", encode(&self.room.room()));
        self.dave.http.get(&target).await.status == 200
    }

    /// Waits until our user sees an event.
    async fn until_seen(&self, at: Index) {
        eventually(PATIENCE, &format!("event {at} to be seen"), async || {
            if self.sees(at).await {
                Ok(())
            } else {
                Err("it is not".to_owned())
            }
        })
        .await;
        self.dave.http.settled().await;
    }

    /// What our user has of the room's messages, oldest first.
    async fn bodies(&self) -> Vec<String> {
        let page = self.dave.messages(&self.room.room(), "b", "&limit=100").await.ok();
        let events = page["chunk"].as_array().expect("a page").clone();
        let body = |event: &Value| event["content"]["body"].as_str().map(str::to_owned);
        events.iter().rev().filter_map(body).collect()
    }
}
