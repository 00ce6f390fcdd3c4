//! What a process remembers of what other servers send it.

use super::{acl::Acls, doors::Doors};

/// What a process remembers of what other servers send it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Inbound {
    /// Which servers may take part in rooms.
    pub acls: Acls,
    /// Whoever of this server is about to come into a room of others.
    pub doors: Doors,
}
