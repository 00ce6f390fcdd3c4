//! The order in which power events are tried: reverse topological, by power.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use ruma::EventId;

use super::{
    Room,
    candidates::{Candidate, Candidates},
};
use crate::{
    auth::{PowerLevels, UserLevel},
    ids::EventNid,
};

/// What comes first is smallest: more power, then earlier, then the smaller event id.
type Rank<'a> = (Reverse<UserLevel>, u64, &'a EventId);

/// The power events among the candidates, and those in their auth chains, in order.
///
/// Chains are followed within the candidates only, and only direct links between them count: the specification can be read otherwise, but that is what the
/// servers in use do.
pub(super) fn power_order(room: &Room<'_>, candidates: &Candidates) -> Vec<usize> {
    let parents = chosen(candidates);
    let mut children = vec![Vec::new(); parents.len()];
    let mut waiting_for = vec![0_usize; parents.len()];
    let mut ready = BinaryHeap::new();
    let mut levels = Levels::new(room);
    let mut rank = |at: usize| Reverse((levels.rank(&candidates.all()[at]), at));
    for (at, parents) in parents.iter().enumerate() {
        let Some(parents) = parents else { continue };
        waiting_for[at] = parents.len();
        for parent in parents {
            children[*parent].push(at);
        }
        if parents.is_empty() {
            ready.push(rank(at));
        }
    }
    let mut order = Vec::new();
    while let Some(Reverse((_, at))) = ready.pop() {
        order.push(at);
        for child in &children[at] {
            waiting_for[*child] -= 1;
            if waiting_for[*child] == 0 {
                ready.push(rank(*child));
            }
        }
    }
    order
}

/// Of each candidate that is a power event or leads to one, which candidates it refers to.
fn chosen(candidates: &Candidates) -> Vec<Option<Vec<usize>>> {
    let all = candidates.all();
    let mut chosen = vec![None; all.len()];
    let mut open: Vec<usize> = (0..all.len()).filter(|at| all[*at].is_power_event()).collect();
    while let Some(at) = open.pop() {
        if chosen[at].is_some() {
            continue;
        }
        let mut parents: Vec<usize> = all[at]
            .auth
            .iter()
            .filter_map(|(parent, _)| candidates.position(*parent))
            .filter(|parent| *parent < at)
            .collect();
        parents.sort_unstable();
        parents.dedup();
        open.extend_from_slice(&parents);
        chosen[at] = Some(parents);
    }
    chosen
}

/// The power of senders, as their events' own auth events have it. Each power-levels event is read once.
struct Levels<'a, 'r> {
    room: &'r Room<'r>,
    read: BTreeMap<Option<EventNid>, PowerLevels<'a>>,
}

impl<'a, 'r> Levels<'a, 'r>
where
    'r: 'a,
{
    fn new(room: &'r Room<'r>) -> Self {
        Self {
            room,
            read: BTreeMap::new(),
        }
    }

    fn rank(&mut self, candidate: &'a Candidate) -> Rank<'a> {
        let power_levels = candidate.auth_event("m.room.power_levels", "");
        let levels = self
            .read
            .entry(power_levels.map(|(event, _)| *event))
            .or_insert_with(|| {
                let body = power_levels.map(|(_, known)| &*known.body);
                PowerLevels::read(self.room.rules, &self.room.create, body)
            });
        // Levels that are no numbers, which old versions let through, count as none.
        let level = levels.user_level(candidate.body.sender().as_str());
        let level = level.unwrap_or(UserLevel::Finite(0));
        (
            Reverse(level),
            candidate.body.origin_server_ts(),
            candidate.body.event_id(),
        )
    }
}
