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
mod shifts;
pub mod staging;
pub(crate) mod told_rooms;
pub mod visible;

use plexus_core::{event::EventBody, ids::RoomNid, room_version::RoomVersion};

use self::refusal::refuse;
pub use self::{
    bring::{Arriving, PartialState, Placement, bring, in_order},
    device_lists::DeviceLists,
    hierarchy::ToldRooms,
    inbound::Inbound,
};
use crate::{Ctx, ServiceError};

/// Whether somebody of this server is in a room, so that what is known of it here is how it is.
pub(crate) async fn is_resident(ctx: &Ctx, room: RoomNid) -> Result<bool, ServiceError> {
    let servers = ctx.store.room_servers(room).await?;
    Ok(servers.contains(&ctx.config.server_name))
}

/// One event that another server hands over, if its hashes and signatures are right.
async fn verify_one(ctx: &Ctx, version: RoomVersion, json: String) -> Result<EventBody, ServiceError> {
    let mut verified = ctx.federation.verify(version.rules(), vec![json]).await?;
    let none = || ServiceError::internal("no event was verified");
    let verified = verified.pop().ok_or_else(none)?;
    verified.map_err(|unbelieved| refuse(&unbelieved.error))
}
