//! Processes are killed while servers talk to each other: what was acknowledged comes to both sides, once.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use plexus_tests::{Cluster, PATIENCE, Shared, Tally, Timeline, Topology, User, encode, eventually};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{interval, sleep, timeout},
};

use super::joining::{join_via, joined};

static SPLIT: Shared = Shared::federated_by_turns(Topology::Split);
static ALL_IN_ONE: Shared = Shared::federated_by_turns(Topology::AllInOne);

/// Messages of both sides together, at least.
const SENDS: usize = 500;
/// How often each side speaks, so that the talk lasts as long as the trouble.
const BEAT: Duration = Duration::from_millis(40);
/// Members of a room that is joined.
const CROWD: usize = 60;
/// Rooms that are joined, each with another time between the join and the end of the processes.
const JOINS: u64 = 3;
/// For how long members are asked for that cannot come.
const BRIEFLY: Duration = Duration::from_secs(1);

#[test]
fn a_talk_of_two_servers_outlives_every_process() {
    SPLIT.run(async |cluster| {
        let other = Cluster::start_federated(Topology::AllInOne).await;
        talk(&cluster, &other, async |load| {
            let names: Vec<String> = cluster.names().into_iter().map(str::to_owned).collect();
            for (turn, name) in names.iter().enumerate() {
                load.reached(SENDS * (1 + turn) / (2 + names.len())).await;
                cluster.restart(name).await;
            }
            other.restart("plexus").await;
            load.reached(SENDS).await;
        })
        .await;
    });
}

#[test]
fn a_room_joined_with_a_part_of_its_state_outlives_the_process() {
    ALL_IN_ONE.run(async |cluster| joins_cut_short(&cluster).await);
}

#[test]
fn a_room_joined_with_a_part_of_its_state_outlives_all_processes() {
    SPLIT.run(async |cluster| joins_cut_short(&cluster).await);
}

/// Lets a user of each server talk in one room while `trouble` happens, and until it is over. In the end each of them has been given all that was
/// acknowledged, once, and what each said in the order it was said in.
async fn talk(here: &Cluster, there: &Cluster, trouble: impl AsyncFnOnce(&Tally)) {
    let alice = User::register(&here.http(), "alice").await;
    let bob = User::register(&there.http(), "bob").await;
    let room = alice.create_public_room().await;
    join_via(&bob, &room, here.server_name()).await.ok();
    let sent = Tally::default();
    let (over, is_over) = watch::channel(false);
    let (wanted, all) = watch::channel(None::<BTreeSet<String>>);
    let (mut listening, mut speaking) = (JoinSet::new(), JoinSet::new());
    for user in [&alice, &bob] {
        let mut timeline = Timeline::start(user, &room).await;
        let all = all.clone();
        listening.spawn(async move {
            let has_all = |timeline: &Timeline| {
                let given: BTreeSet<&str> = timeline.message_ids().into_iter().collect();
                let wanted = all.borrow();
                wanted
                    .as_ref()
                    .is_some_and(|wanted| wanted.iter().all(|id| given.contains(&**id)))
            };
            timeline.until(8 * PATIENCE, "all that was said", has_all).await;
            let given: Vec<String> = timeline.message_ids().into_iter().map(str::to_owned).collect();
            given
        });
        let (user, room, sent, is_over) = (user.clone(), room.clone(), sent.clone(), is_over.clone());
        speaking.spawn(async move {
            let mut said = Vec::new();
            let mut beat = interval(BEAT);
            while said.len() < SENDS / 2 || !*is_over.borrow() {
                beat.tick().await;
                said.push(user.say_stubbornly(&room, &format!("{} {}", user.id, said.len())).await);
                sent.add();
            }
            said
        });
    }
    trouble(&sent).await;
    over.send_replace(true);
    let said = speaking.join_all().await;
    let acknowledged: BTreeSet<String> = said.iter().flatten().cloned().collect();
    wanted.send_replace(Some(acknowledged.clone()));
    for given in listening.join_all().await {
        // A timeline panics by itself if an event comes twice.
        let place: HashMap<&String, usize> = given.iter().zip(0..).collect();
        assert_eq!(given.len(), acknowledged.len(), "what nobody said has been given");
        for own in &said {
            assert!(own.is_sorted_by_key(|id| place[id]), "messages changed places");
        }
    }
}

/// Joins rooms of another server, and kills all processes at different times after that: all members are known in the end.
async fn joins_cut_short(cluster: &Cluster) {
    let other = Cluster::start_federated(Topology::AllInOne).await;
    let owner = User::register(&other.http(), "owner").await;
    let mut members = vec![];
    for _ in 0..CROWD {
        members.push(User::register(&other.http(), "member").await);
    }
    let alice = User::register(&cluster.http(), "alice").await;
    let mut cut_short = 0;
    for number in 0..JOINS {
        let room = owner.create_public_room().await;
        for member in &members {
            member.join(&room).await;
        }
        join_via(&alice, &room, other.server_name()).await.ok();
        sleep(Duration::from_millis(20 * number)).await;
        // What it has not told by now, it tells once the others are back.
        other.process("plexus").pause();
        for name in cluster.names() {
            cluster.process(name).kill();
        }
        for name in cluster.names() {
            cluster.process(name).start_again();
        }
        cluster.until_ready().await;
        let members_at = format!("/_matrix/client/v3/rooms/{}/joined_members", encode(&room));
        // Whoever asks for members waits for them.
        cut_short += usize::from(timeout(BRIEFLY, alice.http.get(&members_at)).await.is_err());
        other.process("plexus").resume();
        eventually(2 * PATIENCE, "all members to be known", async || {
            let answer = alice.http.get(&members_at).await;
            if answer.status == 503 {
                Err(answer.text())
            } else {
                Ok(())
            }
        })
        .await;
        let known = joined(&alice, &room).await;
        assert_eq!(known.len(), CROWD + 2);
        assert_eq!(known, joined(&owner, &room).await);
        alice.say(&room, "here").await;
    }
    assert!(cut_short > 0, "no room was complete too late");
}
