//! Processes are killed and Redis goes away while people talk: nothing acknowledged is lost, doubled or out of order.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use plexus_tests::{Cluster, Mischief, PATIENCE, Shared, Tally, Timeline, Topology, User, eventually};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, interval, sleep},
};

/// How long a standby may take to lead.
const TAKEOVER_MAX: Duration = Duration::from_secs(5);
/// How long Redis stays away.
const REDIS_AWAY: Duration = Duration::from_secs(5);
const SENDS: usize = 500;
const SENDERS: usize = 5;
/// How often each of them speaks, so that the talk lasts as long as the trouble.
const BEAT: Duration = Duration::from_millis(40);
/// The last line.
const END: &str = "the end";
/// Members who only listen.
const LISTENERS: usize = 3;

static ALL_IN_ONE: Shared = Shared::by_turns(Topology::AllInOne);
static SPLIT: Shared = Shared::by_turns(Topology::Split);
static PAUSED: Shared = Shared::by_turns(Topology::Split);

#[test]
fn the_one_process_is_killed_again_and_again() {
    ALL_IN_ONE.run(async |cluster| {
        under_load(&cluster, async |load| {
            for round in 1..=5 {
                load.reached(round * SENDS / 6).await;
                cluster.restart("plexus").await;
            }
        })
        .await;
    });
}

#[test]
fn every_process_is_killed_in_turn_and_redis_goes_away() {
    SPLIT.run(async |cluster| {
        under_load(&cluster, async |load| {
            load.reached(SENDS / 10).await;
            kill_the_leader(&cluster).await;
            for (turn, name) in ["reader1", "sync1", "reader2", "sync2"].into_iter().enumerate() {
                load.reached(SENDS * (2 + turn) / 10).await;
                cluster.restart(name).await;
            }
            load.reached(SENDS * 6 / 10).await;
            let redis = cluster.redis().expect("the split topology has one");
            // What happens in these times is what is tested. Stopped, Redis is silent; cut off, it refuses.
            cluster.process("redis").pause();
            sleep(REDIS_AWAY).await;
            cluster.process("redis").resume();
            redis.cut();
            sleep(REDIS_AWAY).await;
            redis.restore();
            load.reached(SENDS * 8 / 10).await;
            kill_the_leader(&cluster).await;
        })
        .await;
    });
}

#[test]
fn frames_that_are_lost_and_late_are_missed_by_nobody() {
    PAUSED.run(async |cluster| {
        let redis = cluster.redis().expect("the split topology has one");
        under_load(&cluster, async |load| {
            redis.set(Mischief {
                lose_every: 3,
                ..Mischief::default()
            });
            load.reached(SENDS / 2).await;
            redis.set(Mischief {
                delay: Duration::from_millis(30),
                lose_every: 5,
                ..Mischief::default()
            });
            load.reached(SENDS).await;
        })
        .await;
        redis.restore();
    });
}

#[test]
fn a_master_that_was_stopped_wakes_up_deposed() {
    PAUSED.run(async |cluster| {
        under_load(&cluster, async |load| {
            load.reached(SENDS / 5).await;
            let old = cluster.leader().await;
            let paused = Instant::now();
            cluster.process(&old).pause();
            until_another_leads(&cluster, &old, paused).await;
            load.reached(SENDS / 2).await;
            cluster.process(&old).resume();
            load.reached(SENDS).await;
        })
        .await;
        cluster.until_ready().await;
    });
}

/// Kills the leader, sees the standby take over in time, and starts the killed one again.
async fn kill_the_leader(cluster: &Cluster) {
    let old = cluster.leader().await;
    let killed = Instant::now();
    cluster.process(&old).kill();
    until_another_leads(cluster, &old, killed).await;
    cluster.process(&old).start_again();
    cluster.until_process_ready(&old).await;
}

async fn until_another_leads(cluster: &Cluster, old: &str, since: Instant) {
    let next = if old == "master1" { "master2" } else { "master1" };
    let http = cluster.internal(next);
    eventually(PATIENCE, &format!("{next} to lead"), async || {
        let pulse = http.get("/ready").await;
        if pulse.json()["leading"] == true {
            Ok(())
        } else {
            Err(pulse.text())
        }
    })
    .await;
    let took = since.elapsed();
    assert!(took < TAKEOVER_MAX, "the standby took over after {took:?}");
}

/// Lets people talk in one room while `trouble` happens, and until it is over. In the end everybody has been given every acknowledged message
/// once, in one order.
async fn under_load(cluster: &Cluster, trouble: impl AsyncFnOnce(&Tally)) {
    let http = cluster.http();
    let mut users = Vec::new();
    for number in 0..SENDERS + LISTENERS {
        users.push(User::register(&http, &format!("user{number}")).await);
    }
    let room = users[0].create_public_room().await;
    for user in &users[1..] {
        user.join(&room).await;
    }
    let mut listening = JoinSet::new();
    for user in &users {
        let mut timeline = Timeline::start(user, &room).await;
        listening.spawn(async move {
            let ended = |timeline: &Timeline| timeline.bodies().last() == Some(&END);
            timeline.until(8 * PATIENCE, "the end", ended).await;
            let order: Vec<String> = timeline.message_ids().into_iter().map(str::to_owned).collect();
            order
        });
    }
    let sent = Tally::default();
    let (over, is_over) = watch::channel(false);
    let mut speaking = JoinSet::new();
    for (number, user) in users.iter().take(SENDERS).enumerate() {
        let (user, room, sent, is_over) = (user.clone(), room.clone(), sent.clone(), is_over.clone());
        speaking.spawn(async move {
            let mut said = Vec::new();
            let mut beat = interval(BEAT);
            while said.len() < SENDS / SENDERS || !*is_over.borrow() {
                beat.tick().await;
                let line = format!("{number} {}", said.len());
                said.push(user.say_stubbornly(&room, &line).await);
                sent.add();
            }
            said
        });
    }
    trouble(&sent).await;
    over.send_replace(true);
    let mut said = speaking.join_all().await;
    said.push(vec![users[0].say_stubbornly(&room, END).await]);
    let heard = listening.join_all().await;
    for order in &heard {
        assert_eq!(order, &heard[0], "not everybody was given the same order");
    }
    let acknowledged: BTreeSet<&String> = said.iter().flatten().collect();
    let given: BTreeSet<&String> = heard[0].iter().collect();
    assert!(acknowledged.len() > SENDS && heard[0].len() == given.len());
    assert_eq!(acknowledged, given);
    let place: HashMap<&String, usize> = heard[0].iter().zip(0..).collect();
    for own in &said {
        assert!(
            own.is_sorted_by_key(|id| place[id]),
            "a sender's messages changed places"
        );
    }
}
