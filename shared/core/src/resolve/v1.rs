//! Resolution in room version 1: by depth and hash, one type after the other.
//!
//! See <https://spec.matrix.org/v1.19/rooms/v1/#state-resolution>. What it leaves open is as the servers in use have it: conflicts are those of one key, so that
//! each user's memberships are sorted out by themselves, unseen by the others until all are; and where no event passes, the oldest stays.

use std::{cmp::Reverse, collections::BTreeMap};

use sha1::{Digest, Sha1};

use super::{
    Missing, Resolved, Room,
    candidates::{Candidate, Candidates},
    partial::{Partial, Start},
};
use crate::ids::EventNid;

/// The passes that bring about what later ones are judged by.
const AUTH_PASSES: [fn(&Candidate) -> bool; 3] = [
    |candidate| candidate.body.is_state("m.room.power_levels", ""),
    |candidate| candidate.body.kind() == "m.room.join_rules",
    |candidate| candidate.body.kind() == "m.room.member",
];

pub(super) fn resolve(room: &Room<'_>) -> Result<Resolved, Missing> {
    let conflicts = || room.compared.conflicts.iter();
    let mut events: Vec<EventNid> = conflicts()
        .filter(|conflict| conflict.events.len() > 1)
        .flat_map(|conflict| conflict.events.iter().map(|(event, _)| *event))
        .collect();
    events.sort_unstable();
    events.dedup();
    let candidates = Candidates::load(room, events.into_iter(), false)?;
    let mut state = Partial::new(room, &candidates, Start::Undisputed)?;

    let mut disputes = disputes(&candidates, &state);
    for is_in_pass in AUTH_PASSES {
        let (of_pass, others) = disputes
            .into_iter()
            .partition(|dispute: &Vec<usize>| is_in_pass(&candidates.all()[dispute[0]]));
        disputes = others;
        settle_all(&mut state, &of_pass, settle_auth)?;
    }
    settle_all(&mut state, &disputes, settle_other)?;

    // A key that some states lack is no conflict here: what the others have is taken.
    let undisputed: BTreeMap<_, _> = conflicts()
        .filter_map(|conflict| match &conflict.events[..] {
            [(event, _)] => Some((conflict.key, Some(*event))),
            _ => None,
        })
        .collect();
    let settled = state.outcome().filter(|(key, _)| !undisputed.contains_key(key));
    let changes = room.changes(settled.chain(undisputed.iter().map(|(key, event)| (*key, *event))));
    Ok(Resolved {
        base: room.base,
        changes,
        conflicted: candidates.all().len(),
    })
}

/// The candidates by conflict; of each the oldest first, that is by ascending depth and then descending hash.
fn disputes(candidates: &Candidates, state: &Partial<'_>) -> Vec<Vec<usize>> {
    let mut sorted: Vec<_> = candidates
        .all()
        .iter()
        .enumerate()
        .map(|(at, candidate)| {
            let hash = Sha1::digest(candidate.body.event_id().as_bytes());
            (state.conflict(at), candidate.body.depth(), Reverse(hash), at)
        })
        .collect();
    sorted.sort_unstable();
    let groups = sorted.chunk_by(|(conflict, ..), (other, ..)| conflict == other);
    groups.map(|group| group.iter().map(|(.., at)| *at).collect()).collect()
}

/// Settles the disputes of one pass, and only then lets the state have the outcome.
fn settle_all(
    state: &mut Partial<'_>,
    disputes: &[Vec<usize>],
    settle: fn(&mut Partial<'_>, &[usize]) -> Result<usize, Missing>,
) -> Result<(), Missing> {
    let mut settled = Vec::with_capacity(disputes.len());
    for dispute in disputes {
        let chosen = settle(state, dispute)?;
        state.unset(chosen);
        settled.push(chosen);
    }
    for chosen in settled {
        state.set(chosen);
    }
    Ok(())
}

/// From the oldest on, as far as each allows the next.
fn settle_auth(state: &mut Partial<'_>, dispute: &[usize]) -> Result<usize, Missing> {
    let mut chosen = dispute[0];
    state.set(chosen);
    for next in &dispute[1..] {
        if state.allows(*next)?.is_err() {
            break;
        }
        chosen = *next;
        state.set(chosen);
    }
    Ok(chosen)
}

/// The newest that is allowed.
fn settle_other(state: &mut Partial<'_>, dispute: &[usize]) -> Result<usize, Missing> {
    for at in dispute.iter().rev() {
        if state.allows(*at)?.is_ok() {
            return Ok(*at);
        }
    }
    Ok(dispute[0])
}
