//! The authority that all servers of the tests believe.

use std::sync::OnceLock;

use plexus_testkit::Authority;

/// One for the whole run, so that clusters of several groups can talk to each other.
pub fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(Authority::new)
}
