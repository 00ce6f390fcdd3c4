//! What a process remembers of what other servers send it.

use super::acl::Acls;

/// What a process remembers of what other servers send it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Inbound {
    /// Which servers may take part in rooms.
    pub acls: Acls,
}
