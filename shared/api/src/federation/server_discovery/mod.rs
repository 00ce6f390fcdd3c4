//! Server discovery.

pub(super) mod version;
pub(super) mod well_known;
