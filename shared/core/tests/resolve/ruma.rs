//! `ruma-state-res` as an oracle for resolution v2 and v2.1.

use std::{collections::BTreeMap, sync::Arc};

use plexus_core::{
    event::{EventBody, json},
    room_version::RoomVersion,
};
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedEventId, RoomId, RoomVersionId, UInt, UserId,
    events::TimelineEventType,
    room_version_rules::{RoomVersionRules, StateResolutionVersion},
};
use ruma_state_res::{StateMap, utils::event_id_set::EventIdSet};
use serde_json::value::RawValue;

use super::literal::{self, Room, State};

/// An event as ruma wants to see it.
#[derive(Clone, Debug)]
pub(crate) struct RumaEvent(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    event_id: OwnedEventId,
    body: Arc<EventBody>,
    kind: TimelineEventType,
    content: Box<RawValue>,
    is_rejected: bool,
    has_room_id: bool,
}

impl RumaEvent {
    pub(crate) fn new(event: &literal::Event) -> Self {
        let body = event.body.clone();
        Self(Arc::new(Inner {
            event_id: body.event_id().to_owned(),
            kind: body.kind().into(),
            content: body.content_raw(),
            is_rejected: event.is_rejected,
            has_room_id: json::get(body.json(), "room_id").is_some(),
            body,
        }))
    }
}

impl ruma_state_res::Event for RumaEvent {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.0.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        Some(self.0.body.room_id()).filter(|_| self.0.has_room_id)
    }

    fn sender(&self) -> &UserId {
        self.0.body.sender()
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        MilliSecondsSinceUnixEpoch(UInt::new_saturating(self.0.body.origin_server_ts()))
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.0.kind
    }

    fn content(&self) -> &RawValue {
        &self.0.content
    }

    fn state_key(&self) -> Option<&str> {
        self.0.body.state_key()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.0.body.prev_events().iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.0.body.auth_events().iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        None
    }

    fn rejected(&self) -> bool {
        self.0.is_rejected
    }
}

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
        .map(|(id, event)| (id.clone(), RumaEvent::new(event)))
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
