//! Our events in the form that `ruma-state-res` takes.

use std::sync::Arc;

use plexus_core::event::{EventBody, json};
use ruma::{MilliSecondsSinceUnixEpoch, OwnedEventId, RoomId, UInt, UserId, events::TimelineEventType};
use serde_json::value::RawValue;

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
    pub(crate) fn new(body: Arc<EventBody>, is_rejected: bool) -> Self {
        Self(Arc::new(Inner {
            event_id: body.event_id().to_owned(),
            kind: body.kind().into(),
            content: body.content_raw(),
            is_rejected,
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
