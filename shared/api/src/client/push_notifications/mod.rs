//! Push notifications.

pub(super) mod notifications;
pub(super) mod push_rules;
pub(super) mod pushers;
pub(super) mod set_pusher;
