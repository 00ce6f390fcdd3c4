//! What other servers and this one do for each other.

pub mod acl;
pub mod bring;
pub mod inbound;

pub use self::{
    bring::{Arriving, Placement, bring, in_order},
    inbound::Inbound,
};
