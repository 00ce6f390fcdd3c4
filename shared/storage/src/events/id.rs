//! Event ids as the column holds them: the 32 bytes of the hash, or the text where a sender chose it.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use plexus_core::room_version::{EventIdFormat, RoomVersion};
use ruma::{EventId, OwnedEventId};

use crate::StoreError;

/// Bytes of a reference hash.
const HASH_BYTES: usize = 32;

/// The id as the column holds it; none if no event of a room of that version can have it.
pub fn event_id_bytes(version: RoomVersion, event_id: &EventId) -> Option<Bytes> {
    // Strict engines: exactly one text stands for a hash, so no other text finds the event.
    let engine = match version.rules().event_id {
        EventIdFormat::Assigned => return Some(Bytes::copy_from_slice(event_id.as_bytes())),
        EventIdFormat::Hash => &STANDARD_NO_PAD,
        EventIdFormat::UrlSafeHash => &URL_SAFE_NO_PAD,
    };
    let hash = engine.decode(event_id.as_str().strip_prefix('$')?).ok()?;
    (hash.len() == HASH_BYTES).then(|| hash.into())
}

/// The id as the column may hold it, where the room's version is not known.
pub(super) fn possible_event_id_bytes(event_id: &EventId) -> Vec<Bytes> {
    let mut possible: Vec<Bytes> = [RoomVersion::V1, RoomVersion::V3, RoomVersion::V4]
        .into_iter()
        .filter_map(|version| event_id_bytes(version, event_id))
        .collect();
    possible.dedup();
    possible
}

/// What the column holds before the id of an event that is kept apart. No hash of the right length begins with one byte more, and no text with this one.
const APART: u8 = 0xFF;

/// The column of an event that is kept apart.
pub(super) fn apart(id: &[u8]) -> Bytes {
    [&[APART], id].concat().into()
}

/// The id in a column, whether or not the event is kept apart.
fn without_mark(version: RoomVersion, column: &[u8]) -> &[u8] {
    let is_marked = column.first() == Some(&APART)
        && (version.rules().event_id == EventIdFormat::Assigned || column.len() > HASH_BYTES);
    &column[usize::from(is_marked)..]
}

/// The id that the column holds.
pub(super) fn read_event_id(version: RoomVersion, column: &[u8]) -> Result<OwnedEventId, StoreError> {
    let column = without_mark(version, column);
    let text = match version.rules().event_id {
        EventIdFormat::Assigned => String::from_utf8_lossy(column).into_owned(),
        EventIdFormat::Hash => format!("${}", STANDARD_NO_PAD.encode(column)),
        EventIdFormat::UrlSafeHash => format!("${}", URL_SAFE_NO_PAD.encode(column)),
    };
    EventId::parse(text).map_err(|error| StoreError::corrupt("events", error.to_string()))
}
