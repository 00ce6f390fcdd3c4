//! Transactions.

pub(super) mod send;
