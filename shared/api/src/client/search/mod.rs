//! Server-side search.

pub(super) mod room_events;
