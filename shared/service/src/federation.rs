//! What other servers and this one do for each other.

pub mod acl;
pub mod bring;
mod edus;
mod gaps;
pub mod inbound;
pub mod receive;
pub mod staging;

pub use self::{
    bring::{Arriving, Placement, bring, in_order},
    inbound::Inbound,
};
