//! Spaces, and what else a room shows to those who think of joining it.

pub(super) mod complexity;
pub(super) mod hierarchy;
