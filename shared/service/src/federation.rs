//! What other servers and this one do for each other.

pub mod acl;
pub mod bring;
pub mod complexity;
pub mod device_lists;
pub mod devices;
pub mod directory;
mod edus;
mod gaps;
pub mod hierarchy;
pub mod inbound;
pub mod keys;
pub mod public_rooms;
pub mod receive;
pub mod resident;
pub mod staging;
pub(crate) mod told_rooms;
pub mod visible;

pub use self::{
    bring::{Arriving, Placement, bring, in_order},
    device_lists::DeviceLists,
    hierarchy::ToldRooms,
    inbound::Inbound,
};
