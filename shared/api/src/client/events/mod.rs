//! Events: syncing, reading, sending, redacting.

pub(super) mod context;
pub(super) mod event;
pub(super) mod event_anywhere;
pub(super) mod initial_sync;
pub(super) mod joined_members;
pub(super) mod members;
pub(super) mod messages;
pub(super) mod redact;
pub(super) mod redact_once;
pub(super) mod room_initial_sync;
pub(super) mod send;
pub(super) mod send_once;
pub(super) mod send_state;
pub(super) mod state;
pub(super) mod state_event;
pub(super) mod stream;
pub(super) mod sync;
pub(super) mod timestamp_to_event;
