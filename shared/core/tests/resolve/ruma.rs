//! `ruma-state-res` as an oracle for resolution v2 and v2.1.

use std::collections::BTreeMap;

use plexus_core::room_version::RoomVersion;
use ruma::{
    OwnedEventId, RoomVersionId,
    room_version_rules::{RoomVersionRules, StateResolutionVersion},
};
use ruma_state_res::{StateMap, utils::event_id_set::EventIdSet};

use super::{
    literal::{Room, State},
    ruma_event::RumaEvent,
};

pub(crate) fn rules(version: RoomVersion) -> RoomVersionRules {
    let version = RoomVersionId::try_from(version.as_str()).expect("ruma knows it");
    version.rules().expect("ruma has rules for it")
}

/// What ruma makes of some states; none if their version is none it resolves.
pub(crate) fn resolve(room: &Room<'_>, states: &[State]) -> Option<State> {
    let rules = rules(room.rules.version);
    let StateResolutionVersion::V2(v2_rules) = rules.state_res else {
        return None;
    };
    let events: BTreeMap<_, _> = room
        .events
        .iter()
        .map(|(id, event)| (id.clone(), RumaEvent::new(event.body.clone(), event.is_rejected)))
        .collect();
    let maps: Vec<StateMap<OwnedEventId>> = states
        .iter()
        .map(|state| {
            let entry = |((kind, key), id): (&(String, String), &OwnedEventId)| {
                ((kind.as_str().into(), key.clone()), id.clone())
            };
            state.iter().map(entry).collect()
        })
        .collect();
    let chain =
        |state: &State| -> EventIdSet<OwnedEventId> { state.values().flat_map(|id| room.auth_chain(id)).collect() };
    let resolved = ruma_state_res::resolve(
        &rules.authorization,
        &v2_rules,
        &maps,
        states.iter().map(chain).collect(),
        |id| events.get(id).cloned(),
        |conflicted| {
            let conflicted = conflicted.values().flatten().cloned().collect();
            Some(room.subgraph(&conflicted).into_iter().collect())
        },
    );
    let resolved = resolved.expect("the events are well-formed");
    Some(
        resolved
            .into_iter()
            .map(|((kind, key), id)| ((kind.to_string(), key), id))
            .collect(),
    )
}
