//! The master is killed while it takes in what other servers say. What it has acknowledged is there, with its states, and what it has not can be said again.
//!
//! Three times in a usual run, fifty times with `PLEXUS_LONG=1`. Only kills that hit count: those with a Command under way.

mod removals;

use std::time::Duration;

use plexus_core::room_version::RoomVersion;
use plexus_proto::event_outcome::Outcome;
use plexus_testkit::dag::{Attempt, CREATOR, Dag, Dice, Index};
use plexus_tests::{Cluster, PATIENCE, Remote, Shared, Topology, eventually};
use serde_json::json;
use tokio::{sync::watch, time::sleep};

use super::{
    BOB, fresh_dag, levels,
    stored::{Stored, verify},
};

static SPLIT: Shared = Shared::by_turns(Topology::Split);

/// Kills in a usual run.
const KILLS: usize = 3;
/// Kills in a long one.
const KILLS_LONG: usize = 50;

/// Events in one Command, at most.
const EVENTS_PER_COMMAND: usize = 6;

/// How long after an acknowledgement the kill comes, at most: about as long as the next Command takes.
const MOMENT_MAX_MS: usize = 40;

/// Events of a room that grows at random.
const GROWN: usize = 60;

/// Links of the chains that are resolved against each other.
const LINKS: usize = 40;

#[test]
fn a_master_killed_while_it_persists_loses_nothing() {
    SPLIT.run(async |cluster| survive(&cluster, grown).await);
}

#[test]
fn a_master_killed_while_it_resolves_loses_nothing() {
    SPLIT.run(async |cluster| survive(&cluster, contested).await);
}

/// How many kills have to hit.
fn kills() -> usize {
    let is_long = std::env::var_os("PLEXUS_LONG").is_some();
    if is_long { KILLS_LONG } else { KILLS }
}

/// A room of any version in which much happens at random.
fn grown(round: usize) -> Dag {
    let version = RoomVersion::ALL[round % RoomVersion::ALL.len()];
    let mut dag = fresh_dag(version, seed(round));
    dag.grow(GROWN);
    dag
}

/// A room with branches on which the power levels change all the time: every event of it is resolved with all the others.
fn contested(round: usize) -> Dag {
    let version = [RoomVersion::V1, RoomVersion::V6, RoomVersion::V11, RoomVersion::V12][round % 4];
    let mut dag = fresh_dag(version, seed(round));
    let last = dag.last();
    let base = dag.add(&[last], &Attempt::member(BOB, BOB, "join"));
    let mut ends = [base; 3];
    for link in 0..LINKS {
        for (branch, end) in ends.iter_mut().enumerate() {
            let attempt = if branch == 2 {
                Attempt::state(CREATOR, "m.room.topic", "", json!({ "topic": link }))
            } else {
                let level = i64::try_from(2 * link + branch).expect("few links");
                let mut content = levels(level % 90);
                if version == RoomVersion::V12 {
                    content["users"] = json!({ BOB: level % 90 });
                }
                Attempt::state(CREATOR, "m.room.power_levels", "", content)
            };
            *end = dag.add(&[*end], &attempt);
        }
    }
    dag
}

fn seed(round: usize) -> u64 {
    1 + u64::try_from(round).expect("few rounds")
}

/// Brings a room after the other, and kills the leader once while each is brought.
async fn survive(cluster: &Cluster, make: fn(usize) -> Dag) {
    let (mut round, mut landed) = (0, 0);
    while landed < kills() {
        let mut dice = Dice::new(rand::random());
        let mut remote = Remote::new(make(round), cluster.worker());
        let count = remote.dag.events.len();
        let (when, moment) = (1 + dice.below(count * 3 / 4), dice.below(MOMENT_MAX_MS));
        let moment = Duration::from_millis(moment.try_into().expect("it is short"));
        eprintln!("round {round}: killed {moment:?} after {when} of {count} events");
        let (told, acknowledged) = watch::channel(0);
        let killing = kill_the_leader(cluster, acknowledged, when, moment);
        let (outcomes, (killed, at)) = tokio::join!(bring(&remote, &mut dice, &told), killing);
        landed += usize::from(at < count);
        round += 1;
        assert!(round <= 2 * kills(), "{landed} kills have hit");
        cluster.process(&killed).start_again();
        cluster.until_process_ready(&killed).await;
        check_outcomes(&remote, &outcomes);
        let all: Vec<Index> = (0..count).collect();
        Stored::open(cluster).await.check(&mut remote.dag, &all).await;
        verify(cluster, &remote.room()).await;
    }
    cluster.until_ready().await;
}

/// Brings every event, some in each Command, and says how many have been acknowledged.
async fn bring(remote: &Remote, dice: &mut Dice, told: &watch::Sender<usize>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    while outcomes.len() < remote.dag.events.len() {
        let left = remote.dag.events.len() - outcomes.len();
        let some: Vec<Index> = (outcomes.len()..)
            .take(left.min(1 + dice.below(EVENTS_PER_COMMAND)))
            .collect();
        let answers = remote.tell(&some).await;
        assert_eq!(answers.len(), some.len());
        outcomes.extend(answers.iter().map(plexus_proto::EventOutcome::outcome));
        told.send_replace(outcomes.len());
    }
    outcomes
}

/// Kills the leader a moment after so many events have been acknowledged, and sees another one lead. Who was killed, and how many events were acknowledged
/// then: the others are brought without a pause, so if there are any, some were under way.
async fn kill_the_leader(
    cluster: &Cluster,
    mut acknowledged: watch::Receiver<usize>,
    when: usize,
    moment: Duration,
) -> (String, usize) {
    let leader = cluster.leader().await;
    let reached = acknowledged.wait_for(|count| *count >= when).await;
    reached.expect("events are brought");
    // What happens at that moment is what is tested.
    sleep(moment).await;
    cluster.process(&leader).kill();
    let count = *acknowledged.borrow();
    let next = if leader == "master1" { "master2" } else { "master1" };
    eventually(PATIENCE, &format!("{next} to lead"), async || {
        let pulse = cluster.internal(next).get("/ready").await;
        if pulse.json()["leading"] == true {
            Ok(())
        } else {
            Err(pulse.text())
        }
    })
    .await;
    (leader, count)
}

/// Each event has the fate that the rules give it.
fn check_outcomes(remote: &Remote, outcomes: &[Outcome]) {
    for (at, outcome) in outcomes.iter().enumerate() {
        let is_placed = matches!(outcome, Outcome::Accepted | Outcome::SoftFailed | Outcome::Rejected);
        assert!(is_placed, "event {at}: {outcome:?}");
        assert_eq!(
            *outcome == Outcome::Rejected,
            remote.dag.events[at].is_rejected,
            "event {at}"
        );
    }
}
