//! Third-party networks.

pub(super) mod location;
pub(super) mod location_of_protocol;
pub(super) mod protocol;
pub(super) mod protocols;
pub(super) mod user;
pub(super) mod user_of_protocol;
