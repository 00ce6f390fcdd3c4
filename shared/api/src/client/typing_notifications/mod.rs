//! Typing notifications.

pub(super) mod set;
