//! Inviting to a room.

pub(super) mod invite;
