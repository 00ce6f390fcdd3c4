//! What resolution is for, one sentence a test, in every room version that it holds for.

use plexus_core::{
    ids::NodeId,
    resolve::resolve,
    room_version::{RoomVersion, StateResolution},
};
use plexus_testkit::dag::{Attempt, CREATOR, Dag, Index, nid};
use serde_json::json;

const BOB: &str = "@bob:one.example";
const CAROL: &str = "@carol:two.example";

/// How many branches the wide fork has.
const BRANCHES: usize = 1_000;

/// How many power-levels events the deep chain has.
const POWER_LEVELS: usize = 1_500;

fn versions_by(resolution: &[StateResolution]) -> impl Iterator<Item = RoomVersion> {
    let versions = RoomVersion::ALL.into_iter();
    versions.filter(move |version| resolution.contains(&version.rules().state_resolution))
}

fn v2_and_later() -> impl Iterator<Item = RoomVersion> {
    versions_by(&[StateResolution::V2, StateResolution::V2_1])
}

/// A room that Bob and Carol are in, with power levels.
fn room(version: RoomVersion, bob: i64, carol: i64) -> Dag {
    let mut dag = Dag::new(version, 1);
    for user in [BOB, CAROL] {
        must(&mut dag, &Attempt::member(user, user, "join"));
    }
    let attempt = levels(&dag, bob, carol);
    must(&mut dag, &attempt);
    dag
}

fn levels(dag: &Dag, bob: i64, carol: i64) -> Attempt {
    let mut users = json!({ BOB: bob, CAROL: carol });
    if dag.rules.auth.select_create {
        users[CREATOR] = json!(100);
    }
    Attempt::state(CREATOR, "m.room.power_levels", "", json!({ "users": users }))
}

fn topic(sender: &str, topic: &str) -> Attempt {
    Attempt::state(sender, "m.room.topic", "", json!({ "topic": topic }))
}

fn join_rule(sender: &str, rule: &str) -> Attempt {
    Attempt::state(sender, "m.room.join_rules", "", json!({ "join_rule": rule }))
}

/// Adds an event at the end.
fn must(dag: &mut Dag, attempt: &Attempt) -> Index {
    let last = dag.last();
    after(dag, last, attempt)
}

/// Adds an event, which has to be allowed there.
fn after(dag: &mut Dag, prev: Index, attempt: &Attempt) -> Index {
    let added = dag.add(&[prev], attempt);
    assert!(!dag.events[added].is_rejected, "{attempt:?}");
    added
}

fn merged(dag: &mut Dag, branches: &[Index]) -> NodeId {
    dag.state_before(branches)
}

/// What the merged state says of a content key.
fn says(dag: &Dag, state: NodeId, kind: &str, state_key: &str, key: &str) -> Option<String> {
    let event = dag.get(state, kind, state_key)?;
    dag.events[event].body.content_string(key)
}

#[test]
fn who_was_banned_does_not_act_on_the_other_branch() {
    for version in v2_and_later() {
        let mut dag = room(version, 50, 0);
        let fork = dag.last();
        let ban = after(&mut dag, fork, &Attempt::member(CREATOR, BOB, "ban"));
        let before = after(&mut dag, fork, &topic(BOB, "mine"));
        let act = after(&mut dag, before, &Attempt::member(BOB, CAROL, "leave"));
        let state = merged(&mut dag, &[ban, act]);
        assert_eq!(
            says(&dag, state, "m.room.member", BOB, "membership").unwrap(),
            "ban",
            "{version}"
        );
        assert_eq!(
            says(&dag, state, "m.room.member", CAROL, "membership").unwrap(),
            "join",
            "{version}"
        );
        assert_eq!(dag.get(state, "m.room.topic", ""), None, "{version}");
    }
}

#[test]
fn of_two_who_remove_each_other_the_one_with_more_power_stays() {
    for version in v2_and_later() {
        let mut dag = room(version, 60, 50);
        let fork = dag.last();
        // The creator has more power than both, so what he says is settled first: it holds for Bob's branch too.
        let kick = after(&mut dag, fork, &Attempt::member(BOB, CAROL, "leave"));
        let promotion = levels(&dag, 60, 70);
        let promotion = after(&mut dag, fork, &promotion);
        let revenge = after(&mut dag, promotion, &Attempt::member(CAROL, BOB, "ban"));
        let state = merged(&mut dag, &[kick, revenge]);
        let of = |user| says(&dag, state, "m.room.member", user, "membership").unwrap();
        assert_eq!((of(BOB), of(CAROL)), ("ban".to_owned(), "join".to_owned()), "{version}");
    }
}

#[test]
fn power_events_come_by_power_and_then_by_time() {
    for version in v2_and_later() {
        let mut dag = room(version, 50, 50);
        let fork = dag.last();
        let by_creator = after(&mut dag, fork, &join_rule(CREATOR, "invite"));
        let later = after(&mut dag, fork, &join_rule(BOB, "public"));
        // Who has less power comes later, and so has the last word among those that are allowed.
        let state = merged(&mut dag, &[by_creator, later]);
        assert_eq!(dag.get(state, "m.room.join_rules", ""), Some(later), "{version}");
        let last = after(&mut dag, fork, &join_rule(CAROL, "knock"));
        let state = merged(&mut dag, &[by_creator, later, last]);
        assert_eq!(dag.get(state, "m.room.join_rules", ""), Some(last), "{version}");
    }
}

#[test]
fn other_events_come_by_the_mainline_and_then_by_time() {
    for version in v2_and_later() {
        let mut dag = room(version, 50, 50);
        let fork = dag.last();
        let promotion = levels(&dag, 50, 60);
        let promotion = after(&mut dag, fork, &promotion);
        let mut under_new = topic(BOB, "under the new levels, long ago");
        under_new.ts = Some(1);
        let under_new = after(&mut dag, promotion, &under_new);
        let under_old = after(&mut dag, fork, &topic(CAROL, "under the old levels, just now"));
        let state = merged(&mut dag, &[under_new, under_old]);
        let of_state = |dag: &Dag, state| dag.get(state, "m.room.topic", "");
        let latest_levels = dag.get(state, "m.room.power_levels", "");
        assert_eq!(latest_levels, Some(promotion), "{version}");
        // Version 12 starts from nothing, so that levels nobody disputes are no mainline; here they are disputed.
        assert_eq!(of_state(&dag, state), Some(under_new), "{version}");
        let other = after(&mut dag, fork, &topic(BOB, "later still"));
        let state = merged(&mut dag, &[under_old, other]);
        assert_eq!(of_state(&dag, state), Some(other), "{version}");
    }
}

#[test]
fn what_one_branch_lacks_is_in_question_from_version_2_on_and_before_is_not() {
    for version in RoomVersion::ALL {
        let mut dag = room(version, 50, 0);
        let fork = dag.last();
        let named = after(&mut dag, fork, &topic(BOB, "mine"));
        let other = after(&mut dag, fork, &Attempt::message(CAROL, "hello"));
        let roots = [named, other].map(|at| dag.events[at].after);
        let resolved = resolve(dag.rules, &roots, &dag.facts, None).unwrap();
        let is_v1 = dag.rules.state_resolution == StateResolution::V1;
        assert_eq!(resolved.conflicted == 0, is_v1, "{version}");
        let state = merged(&mut dag, &[named, other]);
        assert_eq!(dag.get(state, "m.room.topic", ""), Some(named), "{version}");
    }
}

#[test]
fn a_rejected_auth_event_allows_nothing() {
    for version in v2_and_later() {
        let mut dag = Dag::new(version, 1);
        let fork = dag.last();
        let join = after(&mut dag, fork, &Attempt::member(BOB, BOB, "join"));
        let renamed = {
            let mut join = Attempt::member(BOB, BOB, "join");
            join.content["displayname"] = json!("Bob");
            join
        };
        let closed = after(&mut dag, join, &join_rule(CREATOR, "invite"));
        let renamed = after(&mut dag, closed, &renamed);
        let never = after(&mut dag, fork, &join_rule(CREATOR, "invite"));
        let state = merged(&mut dag, &[renamed, never]);
        assert_eq!(dag.get(state, "m.room.member", BOB), Some(renamed), "{version}");
        dag.facts.set_rejected(nid(join), true);
        let state = merged(&mut dag, &[renamed, never]);
        assert_eq!(dag.get(state, "m.room.member", BOB), None, "{version}");
    }
}

#[test]
fn version_1_goes_by_depth() {
    let mut dag = room(RoomVersion::V1, 50, 50);
    let fork = dag.last();
    let shallow = after(&mut dag, fork, &topic(BOB, "shallow"));
    let way = after(&mut dag, fork, &Attempt::message(CAROL, "one more"));
    let deep = after(&mut dag, way, &topic(CAROL, "deep"));
    let state = merged(&mut dag, &[shallow, deep]);
    assert_eq!(dag.get(state, "m.room.topic", ""), Some(deep));
    // Who was banned on one branch and left on the other, deeper: the ban does not allow the leave.
    let ban = after(&mut dag, fork, &Attempt::member(CREATOR, BOB, "ban"));
    let leave = after(&mut dag, way, &Attempt::member(BOB, BOB, "leave"));
    let state = merged(&mut dag, &[ban, leave]);
    assert_eq!(dag.get(state, "m.room.member", BOB), Some(ban));
}

#[test]
fn no_states_and_one_state_need_no_resolution() {
    let dag = room(RoomVersion::V11, 50, 50);
    let root = dag.events[dag.last()].after;
    for (roots, base) in [(vec![], NodeId::EMPTY), (vec![root], root), (vec![root, root], root)] {
        let resolved = resolve(dag.rules, &roots, &dag.facts, None).unwrap();
        assert_eq!(
            (resolved.base, resolved.changes.len(), resolved.conflicted),
            (base, 0, 0)
        );
    }
}

#[test]
fn a_thousand_branches_are_one_resolution() {
    let mut dag = room(RoomVersion::V11, 50, 50);
    let fork = dag.last();
    let ends: Vec<_> = (0..BRANCHES)
        .map(|at| after(&mut dag, fork, &topic(BOB, &at.to_string())))
        .collect();
    let roots: Vec<_> = ends.iter().map(|at| dag.events[*at].after).collect();
    let resolved = resolve(dag.rules, &roots, &dag.facts, None).unwrap();
    assert_eq!(resolved.conflicted, BRANCHES);
    let state = merged(&mut dag, &ends);
    assert_eq!(dag.get(state, "m.room.topic", ""), ends.last().copied(), "the latest");
}

#[test]
fn a_deep_chain_of_power_levels_is_walked_without_recursion() {
    let mut dag = room(RoomVersion::V11, 50, 50);
    let fork = dag.last();
    let old = after(&mut dag, fork, &topic(CAROL, "old"));
    let mut last = fork;
    for level in 0..POWER_LEVELS {
        let attempt = levels(&dag, 50, 50 + i64::try_from(level % 2).unwrap());
        last = after(&mut dag, last, &attempt);
    }
    let new = after(&mut dag, last, &topic(BOB, "new"));
    let roots = [old, new].map(|at| dag.events[at].after);
    let resolved = resolve(dag.rules, &roots, &dag.facts, None).unwrap();
    assert!(resolved.conflicted > POWER_LEVELS, "the whole chain is in question");
    let state = merged(&mut dag, &[old, new]);
    assert_eq!(dag.get(state, "m.room.topic", ""), Some(new));
    assert_eq!(dag.get(state, "m.room.power_levels", ""), Some(last));
}
