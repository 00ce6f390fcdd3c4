//! What other servers and this one do for each other.

pub mod acl;
pub mod bring;
pub mod device_lists;
pub mod devices;
pub mod directory;
mod edus;
mod gaps;
pub mod inbound;
pub mod keys;
pub mod receive;
pub mod resident;
pub mod staging;
pub mod visible;

pub use self::{
    bring::{Arriving, Placement, bring, in_order},
    device_lists::DeviceLists,
    inbound::Inbound,
};
