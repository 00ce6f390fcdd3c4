//! Rooms that somebody has made to be expensive, the same in every run.

use plexus_core::room_version::RoomVersion;
use plexus_testkit::dag::{Attempt, CREATOR, Dag, Index};
use serde_json::{Value, json};

const BOB: &str = "@bob:two.example";
const CAROL: &str = "@carol:two.example";

/// Entries of a server access list; as many as fit into an event of 65,536 bytes, nearly.
const ACL_ENTRIES: usize = 10_000;

/// A room, and the last event that is not part of the attack.
pub(super) struct Attack {
    pub(super) dag: Dag,
    pub(super) base: Index,
}

/// Many branches from one event, each with a state of its own and a claim to the topic.
pub(super) fn wide_fork(width: usize) -> Attack {
    let (mut dag, base) = begin(&[]);
    for branch in 0..width {
        let topic = Attempt::state(CREATOR, "m.room.topic", "", json!({ "topic": branch }));
        let topic = dag.add(&[base], &topic);
        let own = Attempt::state(CREATOR, "org.example.branch", &branch.to_string(), json!({}));
        dag.add(&[topic], &own);
    }
    Attack { dag, base }
}

/// Two chains of power levels that disagree, each link allowed by the one before it.
pub(super) fn deep_levels(depth: usize) -> Attack {
    let (mut dag, base) = begin(&[BOB]);
    two_branches(&mut dag, base, depth, |branch, link| {
        let level = 1 + (2 * link + branch) % 90;
        Attempt::state(CREATOR, "m.room.power_levels", "", levels(level))
    });
    Attack { dag, base }
}

/// Two branches that each set an access list of ten thousand servers, again and again.
pub(super) fn long_acls(rounds: usize) -> Attack {
    let (mut dag, base) = begin(&[]);
    two_branches(&mut dag, base, rounds, |branch, round| {
        let first = ACL_ENTRIES * (2 * round + branch) / 7;
        let denied: Vec<String> = (first..first + ACL_ENTRIES).map(short_name).collect();
        let content = json!({"allow": ["*"], "deny": denied});
        Attempt::state(CREATOR, "m.room.server_acl", "", content)
    });
    Attack { dag, base }
}

/// On one branch somebody is banned and let in again, on the other he comes and goes.
pub(super) fn ping_pong(rounds: usize) -> Attack {
    let (mut dag, base) = begin(&[CAROL]);
    two_branches(&mut dag, base, rounds, |branch, round| match (branch, round % 2) {
        (0, 0) => Attempt::member(CREATOR, CAROL, "ban"),
        (0, _) => Attempt::member(CREATOR, CAROL, "leave"),
        (_, 0) => Attempt::member(CAROL, CAROL, "leave"),
        (_, _) => Attempt::member(CAROL, CAROL, "join"),
    });
    Attack { dag, base }
}

/// On one branch somebody bans everybody; on the other he loses and gets back the power to, so that each event of it throws all of them out or brings
/// them back.
pub(super) fn level_race(rounds: usize, victims: usize) -> Attack {
    let victims: Vec<String> = (0..victims).map(|number| format!("@u{number}:two.example")).collect();
    let mut members: Vec<&str> = victims.iter().map(String::as_str).collect();
    members.push(BOB);
    let (mut dag, last) = begin(&members);
    let powerful = Attempt::state(CREATOR, "m.room.power_levels", "", levels(50));
    let fork = dag.add(&[last], &powerful);
    let mut base = fork;
    for victim in &victims {
        base = dag.add(&[base], &Attempt::member(BOB, victim, "ban"));
    }
    let mut end = fork;
    for round in 0..rounds {
        let level = if round % 2 == 0 { 0 } else { 50 };
        end = dag.add(
            &[end],
            &Attempt::state(CREATOR, "m.room.power_levels", "", levels(level)),
        );
    }
    Attack { dag, base }
}

/// A room with some members, and its last event.
fn begin(members: &[&str]) -> (Dag, Index) {
    let mut dag = Dag::new(RoomVersion::V11, 1);
    for member in members {
        let last = dag.last();
        dag.add(&[last], &Attempt::member(member, member, "join"));
    }
    let last = dag.last();
    (dag, last)
}

/// Lets two branches grow from one event, an event of each in turn.
fn two_branches(dag: &mut Dag, base: Index, rounds: usize, said: impl Fn(usize, usize) -> Attempt) {
    let mut ends = [base; 2];
    for round in 0..rounds {
        for (branch, end) in ends.iter_mut().enumerate() {
            *end = dag.add(&[*end], &said(branch, round));
        }
    }
}

fn levels(bobs: usize) -> Value {
    json!({"users": {CREATOR: 100, BOB: bobs}})
}

/// Three letters and digits.
fn short_name(number: usize) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let letter = |place: usize| char::from(LETTERS[number / place % 36]);
    [1, 36, 36 * 36].into_iter().map(letter).collect()
}
