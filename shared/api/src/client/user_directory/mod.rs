//! The user directory.

pub(super) mod search;
