//! State resolution against two oracles: the specification's words, and `ruma-state-res`.
//!
//! Rooms are random and come from seeds (`plexus_testkit::dag`). A failure prints its seed and the fewest steps at which it fails; what once failed is kept in
//! `seeds.txt` and tried first. With `PLEXUS_LONG=1` it is a million resolutions instead of a few thousand.

mod lazy;
mod literal;
mod rules;
mod ruma;
mod ruma_event;

use std::collections::{BTreeMap, BTreeSet};

use ::ruma::OwnedEventId;
use plexus_core::{
    auth_chain::ChainCache,
    ids::{NodeId, RoomNid},
    resolve::{Facts, Resolved, resolve},
    room_version::StateResolution,
};
use plexus_testkit::dag::{Dag, index, nid};

use self::{
    lazy::resolve_lazily,
    literal::{Event, Room, State},
};

/// How much happens in each random room.
const STEPS: usize = 45;

/// How often states of each random room are resolved.
const RESOLUTIONS_PER_ROOM: usize = 12;

/// How many random rooms there are, usually and in the long test.
const ROOMS: u64 = 240;
const ROOMS_LONG: u64 = 84_000;

/// Of a hundred events, how many count as rejected against what the rules say, as those that another server vouched for may.
const REJECTED_PERCENT: usize = 3;

/// The bytes of the cache of auth chains: far too few, so that it forgets.
const CACHE_BYTES: u64 = 8_192;

type Events = BTreeMap<OwnedEventId, Event>;

fn whole(dag: &Dag, root: NodeId) -> State {
    let state = dag.facts.state(root).into_iter();
    let id = |event| dag.events[index(event)].body.event_id().to_owned();
    state.map(|(key, event)| (key, id(event))).collect()
}

/// Some states of a room; now and then one that lacks something.
fn pick_states(dag: &mut Dag) -> Vec<NodeId> {
    let count = 2 + dag.dice().below(3);
    let picked = dag.random_accepted(count);
    let mut roots: Vec<_> = picked.iter().map(|at| dag.events[*at].after).collect();
    if dag.dice().chance(15) {
        let keys: Vec<_> = dag.facts.state(roots[0]).into_keys().collect();
        let (kind, key) = dag.dice().pick(&keys).clone();
        let key = dag.facts.state_key(&kind, &key).flatten().expect("it is in a state");
        roots[0] = dag.facts.change(roots[0], &[(key, None)]);
    }
    roots
}

fn grown(seed: u64, steps: usize) -> Dag {
    let mut dag = Dag::random(seed);
    dag.grow(steps);
    // Resolution v1 says nothing of rejected events.
    if dag.rules.state_resolution != StateResolution::V1 {
        for at in 1..dag.events.len() {
            if dag.dice().chance(REJECTED_PERCENT) {
                dag.facts.set_rejected(nid(at), true);
            }
        }
    }
    dag
}

fn events(dag: &Dag) -> Events {
    let event = |at| {
        let known = dag.facts.event(nid(at)).expect("all are here");
        let (body, is_rejected) = (known.body, known.is_rejected);
        (body.event_id().to_owned(), Event { body, is_rejected })
    };
    (0..dag.events.len()).map(event).collect()
}

/// Resolves states by all means; the result must be the same.
fn resolve_all_ways(dag: &Dag, roots: &[NodeId], cache: &ChainCache) -> Result<Resolved, &'static str> {
    let resolved = resolve(dag.rules, roots, &dag.facts, None).expect("all is in memory");
    let reversed: Vec<_> = roots.iter().rev().copied().collect();
    if resolve(dag.rules, &reversed, &dag.facts, None).as_ref() != Ok(&resolved) {
        return Err("the order of states matters");
    }
    let chains = cache.of(RoomNid(1));
    if resolve(dag.rules, roots, &dag.facts, Some(chains)).as_ref() != Ok(&resolved) {
        return Err("the cache matters");
    }
    if resolve_lazily(dag, roots, None) != resolved || resolve_lazily(dag, roots, Some(chains)) != resolved {
        return Err("it matters what is in memory");
    }
    Ok(resolved)
}

/// Resolves states of the room that a seed makes. Says how often there was anything to resolve.
fn try_room(seed: u64, steps: usize) -> Result<usize, String> {
    let mut dag = grown(seed, steps);
    let events = events(&dag);
    let create = dag.facts.create();
    let room = Room {
        rules: dag.rules,
        events: &events,
        create: &create,
    };
    let cache = ChainCache::new(CACHE_BYTES);
    let mut conflicted = 0;
    for number in 0..RESOLUTIONS_PER_ROOM {
        let context = |error: &str| format!("seed {seed} {steps}, {number}, version {}: {error}", dag.rules.version);
        let roots = pick_states(&mut dag);
        let states: Vec<State> = roots.iter().map(|root| whole(&dag, *root)).collect();
        let resolved = resolve_all_ways(&dag, &roots, &cache).map_err(context)?;
        let merged = dag.facts.change(resolved.base, &resolved.changes);
        let ours = whole(&dag, merged);
        let by_words = compare(&events, &ours, &literal::resolve(&room, &states));
        let by_ruma = ruma::resolve(&room, &states).map_or(Ok(()), |theirs| compare(&events, &ours, &theirs));
        if by_words.is_err() || by_ruma.is_err() {
            return Err(context(&format!("by words: {by_words:?}; by ruma: {by_ruma:?}")));
        }
        conflicted += usize::from(resolved.conflicted > 0);
    }
    Ok(conflicted)
}

fn compare(events: &Events, ours: &State, theirs: &State) -> Result<(), String> {
    let keys: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let show = |id: Option<&OwnedEventId>| id.map(|id| events[id].body.json());
    let mut differences = keys.into_iter().filter(|key| ours.get(*key) != theirs.get(*key));
    match differences.next() {
        None => Ok(()),
        Some(key) => {
            let (ours, theirs) = (show(ours.get(key)), show(theirs.get(key)));
            Err(format!("{key:?} is {ours:?} or {theirs:?}"))
        }
    }
}

/// [`try_room`], and if it fails, the smallest room of that seed that does.
fn try_and_shrink(seed: u64, steps: usize) -> Result<usize, String> {
    try_room(seed, steps).map_err(|error| {
        let smaller = (0..steps).find_map(|steps| try_room(seed, steps).err());
        smaller.unwrap_or(error)
    })
}

#[test]
fn rooms_that_were_once_resolved_wrongly_are_resolved_as_the_oracles_do() {
    let cases = include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#'));
    for case in cases {
        let (seed, steps) = case.split_once(' ').unwrap();
        try_and_shrink(seed.parse().unwrap(), steps.parse().unwrap()).unwrap();
    }
}

#[test]
fn random_rooms_are_resolved_as_the_oracles_do() {
    let is_long = std::env::var_os("PLEXUS_LONG").is_some();
    let rooms = if is_long { ROOMS_LONG } else { ROOMS };
    let mut conflicted = 0;
    for seed in 0..rooms {
        conflicted += try_and_shrink(seed, STEPS).unwrap_or_else(|error| panic!("{error}"));
    }
    println!("{conflicted} conflicts in {rooms} rooms");
    let all = usize::try_from(rooms).unwrap() * RESOLUTIONS_PER_ROOM;
    assert!(conflicted * 2 > all, "of {all} only {conflicted} had a conflict");
}
