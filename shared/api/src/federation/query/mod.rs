//! Querying for information.

pub(super) mod profile;
