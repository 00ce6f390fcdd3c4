//! Push notifications.

pub(super) mod push_rules;
