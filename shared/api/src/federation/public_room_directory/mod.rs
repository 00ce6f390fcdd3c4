//! The directory of rooms.

pub(super) mod public_rooms;
