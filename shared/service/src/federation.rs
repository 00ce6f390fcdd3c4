//! What other servers and this one do for each other: this server is one of the servers of a room, and one that asks others for what only they know.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/>

pub mod acl;
pub mod admission;
pub mod bring;
mod candidates;
pub mod completion;
pub mod complexity;
pub mod device_lists;
pub mod devices;
pub mod directory;
mod doors;
mod edus;
mod gaps;
pub mod hierarchy;
pub mod history;
pub mod inbound;
pub mod invite;
mod join;
pub mod keys;
mod knock;
mod leave;
mod member_event;
pub mod membership;
mod outside;
pub mod public_rooms;
pub mod receive;
mod refusal;
pub mod resident;
pub mod room_answer;
pub mod staging;
pub(crate) mod told_rooms;
pub mod visible;

pub use self::{
    bring::{Arriving, PartialState, Placement, bring, in_order},
    device_lists::DeviceLists,
    hierarchy::ToldRooms,
    inbound::Inbound,
};
