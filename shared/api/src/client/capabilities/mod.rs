//! Capabilities negotiation.

pub(super) mod get;
