//! How large an event and its parts may be.
//!
//! See <https://spec.matrix.org/v1.19/client-server-api/#size-limits>.

use super::{EventError, number::MAX_INTEGER};
use crate::room_version::Numbers;

/// Size of an event in federation format with signatures, as canonical JSON, in bytes; itself allowed.
pub const MAX_EVENT_BYTES: usize = 65_536;

/// Size of `type`, `state_key`, `sender`, `room_id` and event ids, in bytes; itself allowed.
pub const MAX_FIELD_BYTES: usize = 255;

/// How many `prev_events` an event may name.
pub const MAX_PREV_EVENTS: usize = 20;

/// How many `auth_events` an event may name.
pub const MAX_AUTH_EVENTS: usize = 10;

/// The largest `depth`: a room that has reached it stays there.
pub const fn max_depth(numbers: Numbers) -> i64 {
    match numbers {
        Numbers::Lenient => i64::MAX,
        Numbers::Strict => MAX_INTEGER,
    }
}

/// Checks the length of a field, and that it holds no NUL: no identifier may, and databases cannot store it as text.
pub(super) fn check_field(field: &'static str, value: &str) -> Result<(), EventError> {
    if value.len() > MAX_FIELD_BYTES {
        return Err(EventError::FieldTooLong {
            field,
            bytes: value.len(),
        });
    }
    if value.as_bytes().contains(&0) {
        return Err(EventError::Invalid(field));
    }
    Ok(())
}

/// Checks the size of a whole event.
pub(super) fn check_size(bytes: usize) -> Result<(), EventError> {
    if bytes > MAX_EVENT_BYTES {
        return Err(EventError::TooLarge { bytes });
    }
    Ok(())
}

/// Checks how many events an event refers to.
pub(super) fn check_references(prev_events: usize, auth_events: usize) -> Result<(), EventError> {
    if prev_events > MAX_PREV_EVENTS {
        return Err(EventError::TooManyReferences {
            field: "prev_events",
            count: prev_events,
        });
    }
    if auth_events > MAX_AUTH_EVENTS {
        return Err(EventError::TooManyReferences {
            field: "auth_events",
            count: auth_events,
        });
    }
    Ok(())
}
