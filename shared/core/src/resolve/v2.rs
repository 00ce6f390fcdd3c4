//! Resolution in room versions 2 to 11, and, from an empty state and with the conflicted state subgraph, in 12.
//!
//! See <https://spec.matrix.org/v1.19/rooms/v2/#state-resolution> and <https://spec.matrix.org/v1.19/rooms/v12/#state-resolution>.

use std::collections::BTreeSet;

use super::{
    Missing, Resolved, Room,
    candidates::Candidates,
    mainline::mainline_order,
    partial::{Partial, Start},
    power_order::power_order,
};
use crate::{
    auth_chain::{RoomChains, difference, subgraph},
    ids::EventNid,
    room_version::StateResolution,
};

pub(super) fn resolve(room: &Room<'_>, chains: Option<RoomChains<'_>>) -> Result<Resolved, Missing> {
    let events = full_conflicted_set(room, chains)?;
    let candidates = Candidates::load(room, events.into_iter(), true)?;
    let start = match room.rules.state_resolution {
        StateResolution::V2_1 => Start::Empty,
        StateResolution::V1 | StateResolution::V2 => Start::Agreed,
    };
    let mut state = Partial::new(room, &candidates, start)?;

    let power_events = power_order(room, &candidates);
    state.try_all(&power_events)?;

    let power_events: BTreeSet<_> = power_events.into_iter().collect();
    let others = (0..candidates.all().len()).filter(|at| !power_events.contains(at));
    let others = mainline_order(room, &candidates, others, state.power_levels())?;
    state.try_all(&others)?;

    Ok(Resolved {
        base: room.base,
        // What all states agree on stays, whatever was tried in its place on the way.
        changes: room.changes(state.outcome()),
        conflicted: candidates.all().len(),
    })
}

/// All events in question.
fn full_conflicted_set(room: &Room<'_>, chains: Option<RoomChains<'_>>) -> Result<BTreeSet<EventNid>, Missing> {
    let conflicts = room.compared.conflicts.iter();
    let conflicting: BTreeSet<_> = conflicts
        .flat_map(|conflict| conflict.events.iter().map(|(event, _)| *event))
        .collect();
    let pillars = pillars(room)?;
    let mut events = room.with_graph(chains, |graph| {
        let mut events = difference(graph, room.states, room.compared, &pillars)?;
        if room.rules.state_resolution == StateResolution::V2_1 {
            events.extend(subgraph(graph.edges, &conflicting)?);
        }
        Ok::<_, Missing>(events)
    })?;
    events.extend(conflicting);
    Ok(events)
}

/// What all states have of the events that most others refer to.
fn pillars(room: &Room<'_>) -> Result<Vec<EventNid>, Missing> {
    let mut missing = Missing::default();
    let mut pillars = Vec::new();
    for kind in ["m.room.create", "m.room.power_levels", "m.room.join_rules"] {
        let key = room.state_key(kind, "", &mut missing);
        pillars.extend(key.and_then(|key| room.agreed(key, &mut missing)));
    }
    missing.or(pillars)
}
