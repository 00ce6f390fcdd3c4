//! A room full of servers that are gone costs nobody anything.

use std::{collections::BTreeMap, time::Duration};

use plexus_core::event::SigningKey;
use plexus_tests::{Cluster, PATIENCE, Shared, Topology, User, eventually, free_port};
use serde_json::json;
use tokio::{net::TcpListener, time::Instant};

use super::peer::{Peer, VERSION, members};

static SPLIT: Shared = Shared::federated_by_turns(Topology::Split);

/// Servers that are gone.
const DEAD: i64 = 1_000;
/// More of them, before anything is measured: so many are tried at once that what that takes is not taken for what one costs.
const TRIED_BEFORE: i64 = 200;
/// Every so many of them takes connections and says nothing; the others take none.
const SILENT_EVERY: i64 = 50;
/// Messages whose sending is measured.
const SENDS: usize = 60;
/// What a server that is gone may cost in memory.
const BYTES_EACH_MAX: i64 = 20_000;
/// How much slower the slower half of sends may be: noise, and nothing that grows with the number of servers.
const SLOWER_MAX: f64 = 1.5;
/// And so much more in any case, for a machine that does other things.
const SLOWER_ANYWAY: Duration = Duration::from_millis(10);
/// What the process takes up.
const BYTES: &str = "plexus_process_resident_memory_bytes";
/// How long those that say nothing keep their connections.
const UNTIL_SILENCE_ENDS: Duration = Duration::from_secs(120);

/// What a process says of itself in whole numbers.
async fn metrics(cluster: &Cluster, process: &str) -> BTreeMap<String, i64> {
    let answer = cluster.internal(process).get("/metrics").await;
    let text = answer.text();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let values = lines.filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    });
    values.collect()
}

/// Waits until so many servers, and no others, are sent nothing any more.
async fn until_left_alone(cluster: &Cluster, servers: i64) {
    eventually(
        UNTIL_SILENCE_ENDS + PATIENCE,
        "all of them to be left alone",
        async || {
            let metrics = metrics(cluster, "sender1").await;
            let (lagging, busy) = (
                metrics["plexus_federation_lagging_destinations"],
                metrics["plexus_federation_busy_destinations"],
            );
            let all = lagging == servers && busy == 0;
            all.then_some(())
                .ok_or_else(|| format!("{lagging} lag, {busy} are busy"))
        },
    )
    .await;
}

/// How long sending takes in each of two rooms, by turns and at the median: what else the machine does is the same for both.
async fn medians(user: &User, rooms: [&str; 2]) -> [Duration; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..SENDS {
        for (room, times) in rooms.iter().zip(&mut times) {
            let started = Instant::now();
            user.say(room, &format!("measured {number}")).await;
            times.push(started.elapsed());
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[SENDS / 2]
    })
}

#[test]
fn a_thousand_servers_that_are_gone_cost_nobody_anything() {
    SPLIT.run(async |cluster| {
        let silent = TcpListener::bind("0.0.0.0:0").await.expect("a free port");
        let silent = (silent.local_addr().expect("bound").port(), silent);
        let closed = free_port();
        let dead: Vec<String> = (0..TRIED_BEFORE + DEAD)
            .map(|number| {
                let port = if number % SILENT_EVERY == 0 { silent.0 } else { closed };
                format!("@gone:127.1.{}.{}:{port}", number / 250, number % 250 + 1)
            })
            .collect();
        let peer = Peer::start().await;
        let alice = User::register(&cluster.http(), "alice")
            .await
            .at(&cluster.direct("reader1"));
        let body = json!({"preset": "public_chat", "room_version": VERSION.as_str()});
        let room = alice.create_room(&body).await;
        let quiet = alice.create_room(&body).await;
        peer.member(&cluster, &alice, &room, "bob", "join").await;
        alice.say(&room, "first").await;
        peer.until_told("first").await;
        let before = medians(&alice, [&quiet, &room]).await;
        let key = SigningKey::from_seed("gone", &[9; 32]).expect("a key");
        let (tried, dead) = dead.split_at(usize::try_from(TRIED_BEFORE).expect("few"));
        members(&cluster, &alice, &room, tried, ("join", &key)).await;
        alice.say(&room, "hello?").await;
        until_left_alone(&cluster, TRIED_BEFORE).await;
        let bytes_before = metrics(&cluster, "sender1").await[BYTES];

        members(&cluster, &alice, &room, dead, ("join", &key)).await;
        alice.say(&room, "is anybody there?").await;
        // Who is there hears it at once.
        peer.until_told("is anybody there?").await;
        let trying = medians(&alice, [&quiet, &room]).await;
        until_left_alone(&cluster, TRIED_BEFORE + DEAD).await;
        let after = medians(&alice, [&quiet, &room]).await;
        alice.say(&room, "last").await;
        peer.until_told("last").await;
        let metrics = eventually(PATIENCE, "nothing to be kept for those who are gone", async || {
            let metrics = metrics(&cluster, "sender1").await;
            let queued = metrics["plexus_federation_queued_pdus"];
            if queued == 0 { Ok(metrics) } else { Err(queued.to_string()) }
        })
        .await;
        let each = (metrics[BYTES] - bytes_before) / DEAD;
        println!(
            "a send in a room without them and in theirs takes {before:?} before they are gone, {trying:?} while {DEAD} are tried, \
             {after:?} once they are left alone; each of them costs {each} bytes"
        );
        assert!(each < BYTES_EACH_MAX, "each costs {each} bytes");
        let [without, with] = after;
        assert!(with < without.mul_f64(SLOWER_MAX) + SLOWER_ANYWAY, "{after:?}");
    });
}
