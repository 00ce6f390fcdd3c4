//! Which events have lately been pointed to, in memory: tells that a fresh event has nothing to sum up.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use plexus_core::{event::EventBody, position::Sequence};
use ruma::{EventId, OwnedEventId};

/// Most events that are remembered; beyond, the half that was pointed to longer ago is forgotten.
const PARENTS_MAX: usize = 50_000;

/// A process that has heard nothing yet knows nothing.
const UNKNOWN: Sequence = Sequence::MAX;

/// The events that others point to, as this process has heard.
///
/// Whatever points to an event comes later than it, except for what other servers send out of order: such a relation is seen by whoever asks for the
/// relations, and by this only if both came after the floor.
#[derive(Debug)]
pub(crate) struct Parents {
    parents_max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Everything that was pointed to after this place is in `last`.
    floor: Sequence,
    /// When each was pointed to last.
    last: HashMap<OwnedEventId, Sequence>,
}

impl Parents {
    pub(crate) fn new() -> Self {
        Self {
            parents_max: PARENTS_MAX,
            state: Mutex::new(State {
                floor: UNKNOWN,
                last: HashMap::new(),
            }),
        }
    }

    /// An event was persisted, whose body may have been too large to be told.
    pub(crate) fn persisted(&self, body: Option<&EventBody>, position: Sequence) {
        let relation = body.map(|body| body.relation().filter(|relation| relation.kind().is_aggregated()));
        let mut state = self.lock();
        match relation {
            None => state.floor = position,
            Some(relation) => {
                state.floor = state.floor.min(position - 1);
                if let Some(relation) = relation {
                    state.last.insert(relation.parent, position);
                    state.trim(self.parents_max);
                }
            }
        }
    }

    /// Whether something may point to the event at `position`.
    pub(crate) fn may_have_relations(&self, event_id: &EventId, position: Sequence) -> bool {
        let state = self.lock();
        position <= state.floor || state.last.contains_key(event_id)
    }

    /// Rows may have been missed.
    pub(crate) fn forget_all(&self) {
        let mut state = self.lock();
        state.floor = UNKNOWN;
        state.last.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn trim(&mut self, parents_max: usize) {
        if self.last.len() <= parents_max {
            return;
        }
        let mut all: Vec<Sequence> = self.last.values().copied().collect();
        let middle = all.len() / 2;
        let (_, &mut floor, _) = all.select_nth_unstable(middle);
        self.last.retain(|_, last| *last > floor);
        self.floor = self.floor.max(floor);
    }
}

#[cfg(test)]
mod tests {
    use plexus_core::room_version::RoomVersion;
    use serde_json::json;

    use super::*;

    fn body(content: &serde_json::Value) -> EventBody {
        let event = json!({
            "auth_events": [], "content": content, "depth": 1, "origin_server_ts": 1, "prev_events": [], "room_id": "!r:x",
            "sender": "@a:x", "type": "m.room.message",
        });
        let id = EventId::parse("$child").expect("an id");
        EventBody::load(id, RoomVersion::V11.rules(), event.to_string().into_bytes()).expect("an event")
    }

    fn pointing(parent: &str, rel_type: &str) -> EventBody {
        body(&json!({"m.relates_to": {"event_id": parent, "key": "x", "rel_type": rel_type}}))
    }

    fn id(text: &str) -> OwnedEventId {
        EventId::parse(text).expect("an id")
    }

    #[test]
    fn a_fresh_event_has_no_relations_until_one_comes() {
        let parents = Parents::new();
        assert!(parents.may_have_relations(&id("$old"), 1), "nothing is known");
        parents.persisted(Some(&body(&json!({}))), 10);
        assert!(parents.may_have_relations(&id("$old"), 9));
        assert!(!parents.may_have_relations(&id("$new"), 10));
        parents.persisted(Some(&pointing("$new", "m.annotation")), 11);
        assert!(
            !parents.may_have_relations(&id("$new"), 10),
            "reactions are not summed up"
        );
        parents.persisted(Some(&pointing("$new", "m.replace")), 12);
        assert!(parents.may_have_relations(&id("$new"), 10));
        parents.persisted(None, 13);
        assert!(parents.may_have_relations(&id("$other"), 11), "who knows what it said");
        assert!(!parents.may_have_relations(&id("$other"), 14));
        parents.forget_all();
        assert!(parents.may_have_relations(&id("$other"), 14));
    }

    #[test]
    fn what_is_forgotten_is_below_the_floor() {
        let parents = Parents {
            parents_max: 10,
            ..Parents::new()
        };
        for at in 1..=11 {
            parents.persisted(Some(&pointing(&format!("${at}"), "m.thread")), 100 + at);
        }
        // An event that was forgotten came before what pointed to it, and that is at or below the floor.
        assert!((1..=11).all(|at| parents.may_have_relations(&id(&format!("${at}")), 100 + at - 1)));
        assert!(!parents.may_have_relations(&id("$fresh"), 112));
    }
}
