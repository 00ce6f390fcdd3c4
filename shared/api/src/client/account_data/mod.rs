//! Account data and tags.

pub(super) mod get;
pub(super) mod get_of_room;
pub(super) mod set;
pub(super) mod set_of_room;
pub(super) mod tags;
