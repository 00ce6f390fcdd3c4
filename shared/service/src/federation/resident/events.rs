//! One event.

use ruma::{EventId, ServerName};

use super::{require_resident, write_transaction};
use crate::{Ctx, ServiceError, error::Refusal, federation::visible::ServerSights};

/// An event, in whichever room it is: one of a room that the server is not in is not there for it. What was rejected is given as well, for others may
/// refer to it.
pub async fn get_event(ctx: &Ctx, origin: &ServerName, event_id: &EventId) -> Result<Vec<u8>, ServiceError> {
    let unknown = || ServiceError::not_found("there is no such event");
    let event = ctx.store.known_event_anywhere(event_id).await?.ok_or_else(unknown)?;
    let room = match require_resident(ctx, origin, event.body.room_id()).await {
        Err(ServiceError::Refused {
            kind: Refusal::Forbidden,
            ..
        }) => return Err(unknown()),
        room => room?,
    };
    let body = ServerSights::new(ctx, &room, origin).look(&event).await?;
    Ok(write_transaction(ctx, [&*body]))
}
