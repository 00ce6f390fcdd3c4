//! Before the doors of rooms that this server is not in.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#knocking-rooms>

use ruma::{OwnedEventId, ServerName};

use super::{
    member_event::{Wanted, propose},
    outside::{keep, preview},
};
use crate::{Ctx, ServiceError};

/// Knocks by a server that is in the room.
pub(super) async fn knock_by(ctx: &Ctx, server: &ServerName, wanted: &Wanted) -> Result<OwnedEventId, ServiceError> {
    let (version, event) = propose(ctx, server, wanted).await?;
    let state = ctx.federation.send_knock(server, &event).await?;
    keep(ctx, version, &event, Some(preview(&state, &wanted.user_id))).await
}
