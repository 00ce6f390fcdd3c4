//! Rooms that other servers talk in too: what of their branches users are shown, and that nothing of it is lost when the master is killed.
//!
//! Another server's events reach the master as Commands of a worker. One process alone has no door for them, so these rooms are on many.

mod follower;
mod hidden;
mod kills;
mod resolved;
mod stored;

use plexus_core::room_version::RoomVersion;
use plexus_testkit::dag::{CREATOR, Dag};
use plexus_tests::{Cluster, Remote, Shared, Topology, User, encode, fresh_name};
use serde_json::{Value, json};

const BOB: &str = "@bob:two.example";
const CAROL: &str = "@carol:two.example";

static SPLIT: Shared = Shared::new(Topology::Split);

/// A room of [`CREATOR`]'s that no other test has.
fn fresh_room(cluster: &Cluster, version: RoomVersion) -> Remote {
    Remote::new(fresh_dag(version, 1), cluster.worker())
}

/// The id of a room is its name, or comes from its create event, where the name is too.
fn fresh_dag(version: RoomVersion, seed: u64) -> Dag {
    let name = fresh_name("room");
    let content = json!({"org.example.name": name});
    Dag::named(&format!("!{name}:one.example"), version, seed, content)
}

/// Power levels that give Bob some.
fn levels(bobs: i64) -> Value {
    json!({"users": {CREATOR: 100, BOB: bobs}})
}

fn path(room: &str, rest: &str) -> String {
    format!("/_matrix/client/v3/rooms/{}/{rest}", encode(room))
}

/// A user of ours in the room. One process serves what he reads: what it has shown once it does not forget.
async fn member(cluster: &Cluster, room: &str) -> User {
    let user = User::register(&cluster.http(), "dave")
        .await
        .at(&cluster.direct("reader1"));
    cluster.worker().join(room, &user).await;
    user
}
