//! Receipts.

pub(super) mod set;
