//! Server discovery.

pub(super) mod versions;
