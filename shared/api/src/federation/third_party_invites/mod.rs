//! Invites of addresses.

pub(super) mod exchange;
