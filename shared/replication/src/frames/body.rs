//! Event bodies as messages.

use std::sync::Arc;

use bytes::Bytes;
use plexus_core::{event::EventBody, room_version::RoomVersion};
use plexus_proto as proto;
use ruma::EventId;

use super::BODY_BYTES_MAX;

/// The JSON of a shared body, as bytes that keep it alive instead of a copy.
struct SharedJson(Arc<EventBody>);

impl AsRef<[u8]> for SharedJson {
    fn as_ref(&self) -> &[u8] {
        self.0.json().as_bytes()
    }
}

/// `None` if the body is too large to travel.
pub(super) fn to_proto(body: &Arc<EventBody>) -> Option<proto::EventBody> {
    (body.json().len() <= BODY_BYTES_MAX).then(|| proto::EventBody {
        event_id: body.event_id().as_str().into(),
        room_version: version_code(body.version()),
        json: Bytes::from_owner(SharedJson(Arc::clone(body))),
    })
}

/// `None` if this release cannot read the body; whoever needs it loads it and meets the error there.
pub(super) fn from_proto(body: proto::EventBody) -> Option<EventBody> {
    let version = RoomVersion::ALL
        .into_iter()
        .find(|version| version_code(*version) == body.room_version)?;
    let event_id = EventId::parse(body.event_id).ok()?;
    EventBody::load(event_id, version.rules(), body.json.into()).ok()
}

/// The number of a version: one more than its place among all of them.
fn version_code(version: RoomVersion) -> u32 {
    version as u32 + 1
}
