//! One of the two is away for a while, and both go on.

use plexus_tests::{Cluster, Synapse, Topology, User, run};
use serde_json::json;

use super::{
    super::joining::{Side, join_via, until_same_state},
    set_state, until_heard,
};

#[test]
fn forks_of_a_netsplit_come_to_one_state_with_one_process() {
    run(netsplit(Topology::AllInOne));
}

#[test]
fn forks_of_a_netsplit_come_to_one_state_with_many_processes() {
    run(netsplit(Topology::Split));
}

/// While Synapse does not answer, this server's users go on; then this server does not answer, and Synapse's do.
async fn netsplit(topology: Topology) {
    let cluster = Cluster::start_federated(topology).await;
    let synapse = Synapse::start().await;
    let here = Side::of(&cluster);
    let alice = User::register(&here.http, "alice").await;
    let bob = User::register(&synapse.http(), "bob").await;
    let room = alice.create_public_room().await;
    join_via(&bob, &room, &here.name).await.ok();
    let levels = json!({"users": {&alice.id: 100, &bob.id: 100}});
    // Whoever made a room of version 12 has no level in it.
    let room = if set_state(&alice, &room, ("m.room.power_levels", ""), &levels)
        .await
        .status
        == 200
    {
        room
    } else {
        let older = alice
            .create_room(&json!({"preset": "public_chat", "room_version": "11"}))
            .await;
        join_via(&bob, &older, &here.name).await.ok();
        set_state(&alice, &older, ("m.room.power_levels", ""), &levels)
            .await
            .ok();
        older
    };
    until_same_state(&alice, &bob, &room).await;

    synapse.process().pause();
    for n in 0..10 {
        alice.say(&room, &format!("alice {n}")).await;
    }
    set_state(&alice, &room, ("m.room.topic", ""), &json!({"topic": "alice's"}))
        .await
        .ok();
    set_state(&alice, &room, ("m.room.name", ""), &json!({"name": "alice's"}))
        .await
        .ok();
    for name in cluster.names() {
        cluster.process(name).pause();
    }
    synapse.process().resume();
    for n in 0..10 {
        bob.say(&room, &format!("bob {n}")).await;
    }
    set_state(&bob, &room, ("m.room.topic", ""), &json!({"topic": "bob's"}))
        .await
        .ok();
    set_state(&bob, &room, ("m.room.avatar", ""), &json!({"url": "mxc://bob/avatar"}))
        .await
        .ok();
    for name in cluster.names() {
        cluster.process(name).resume();
    }
    cluster.until_ready().await;
    // Whoever speaks after it joins the branches.
    alice.say_stubbornly(&room, "alice is back").await;
    bob.say(&room, "bob is back").await;
    let all: Vec<String> = (0..10)
        .flat_map(|n| [format!("alice {n}"), format!("bob {n}")])
        .collect();
    let mut all: Vec<&str> = all.iter().map(String::as_str).collect();
    all.extend(["alice is back", "bob is back"]);
    until_heard(&alice, &room, &all).await;
    until_heard(&bob, &room, &all).await;
    until_same_state(&alice, &bob, &room).await;
}
