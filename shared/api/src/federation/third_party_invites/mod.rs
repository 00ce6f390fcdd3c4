//! Invites of addresses.

pub(super) mod exchange;
pub(super) mod on_bind;
