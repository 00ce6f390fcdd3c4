//! The sync of 2014: `GET /initialSync`, `GET /rooms/{roomId}/initialSync` and `GET /events`, for clients that have never learned another.
//!
//! What they tell is what [`sync`](super::sync()) tells, in the form of those days: lists instead of maps, and on each event the id of its room. The
//! tokens are those of sync. Nothing here is fast, and everything is bounded.
//!
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3events>,
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3initialsync>

mod format;
mod initial;
mod room;
mod stream;

pub use self::{
    initial::get_initial_sync,
    room::get_room_initial_sync,
    stream::{EventsRequest, get_events, open_stream},
};
use super::scope::{Scope, Window};
use crate::{Ctx, Requester, ServiceError};
use plexus_core::filter::Filter;

/// How many events are told of a room, or by the stream, if the client does not say.
pub const LIMIT_DEFAULT: usize = 10;

/// An answer up to now: whole, or of what came after a window's beginning. State is told as it is at the end.
async fn scope<'a>(
    ctx: &'a Ctx,
    requester: &'a Requester,
    filter: &'a Filter,
    window: Window,
) -> Result<Scope<'a>, ServiceError> {
    Ok(Scope {
        state_after: true,
        ..Scope::new(ctx, requester, filter, window).await?
    })
}
