//! Querying for information.

pub(super) mod directory;
pub(super) mod profile;
