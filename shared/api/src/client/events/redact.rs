//! `PUT /rooms/{roomId}/redact/{eventId}/{txnId}`.

use plexus_service::rooms::send::redact_event;
use ruma::api::client::redact::redact_event::v3::{Request, Response};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("redact", Auth::User, |call| Box::pin(typed(call, handle)));

async fn handle(call: Call, request: Request) -> Result<Response, Error> {
    let Request {
        room_id,
        event_id,
        txn_id,
        reason,
        ..
    } = request;
    let (ctx, requester) = (call.ctx(), call.requester()?);
    let event_id = redact_event(
        ctx,
        requester,
        &room_id,
        &event_id,
        Some(txn_id.as_str()),
        reason.as_deref(),
    )
    .await?;
    Ok(Response::new(event_id))
}
