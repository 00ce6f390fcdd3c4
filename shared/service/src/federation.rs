//! What other servers and this one do for each other.

pub mod acl;
pub mod bring;
pub mod inbound;
pub mod resident;
pub mod visible;

pub use self::{
    bring::{Arriving, Placement, bring, in_order},
    inbound::Inbound,
};
