//! Server discovery.

pub(super) mod support;
pub(super) mod versions;
pub(super) mod well_known;
