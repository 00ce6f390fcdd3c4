//! Events that relate to events, and threads.

pub(super) mod relations;
pub(super) mod relations_of_type;
pub(super) mod relations_of_type_and_event;
pub(super) mod threads;
