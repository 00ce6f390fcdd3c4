//! Receipts.

pub(super) mod read_markers;
pub(super) mod set;
