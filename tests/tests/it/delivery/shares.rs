//! Processes that send come and go, and nobody misses anything.

use std::collections::BTreeSet;

use plexus_tests::{PATIENCE, Shared, Topology, User, eventually};
use serde_json::json;

use super::peer::{Peer, VERSION};

static SPLIT: Shared = Shared::federated_by_turns(Topology::Split);

/// Other servers, so many that each process has some.
const PEERS: usize = 12;
/// Messages between two changes.
const SAID: usize = 8;

/// The texts in the order in which they first came: while a server changes hands it may be told twice.
fn first_told(peer: &Peer) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let texts = peer.texts().into_iter();
    texts.filter(|text| seen.insert(text.clone())).collect()
}

#[test]
fn senders_come_and_go() {
    SPLIT.run(async |cluster| {
        let alice = User::register(&cluster.http(), "alice")
            .await
            .at(&cluster.direct("reader1"));
        let room = json!({"preset": "public_chat", "room_version": VERSION.as_str()});
        let room = alice.create_room(&room).await;
        let mut peers = Vec::new();
        for number in 0..PEERS {
            let peer = Peer::start().await;
            peer.member(&cluster, &alice, &room, &format!("bob{number}"), "join")
                .await;
            peers.push(peer);
        }
        let mut texts = Vec::new();
        let mut say = async |when: &str| {
            for number in 0..SAID {
                let text = format!("{when} {number}");
                alice.say(&room, &text).await;
                texts.push(text);
            }
        };
        say("one sends").await;
        let second = cluster.start_more("sender2", "federation-sender");
        say("another starts").await;
        cluster.process("sender1").kill();
        say("the first is killed").await;
        cluster.process("sender1").start_again();
        say("the first is back").await;
        assert!(second.stop().await.success(), "{}", second.output());
        say("the second is stopped").await;
        let all = &texts;
        for peer in &peers {
            eventually(2 * PATIENCE, "everything to arrive in order", async || {
                let told = first_told(peer);
                if told == *all { Ok(()) } else { Err(format!("{told:?}")) }
            })
            .await;
        }
    });
}
