//! `PUT /rooms/{roomId}/send/{eventType}/{txnId}`.

use plexus_service::rooms::send::send_event;
use ruma::api::client::message::send_message_event::v3::{Request, Response};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("send", Auth::Guest, |call| Box::pin(typed(call, handle)));

async fn handle(call: Call, request: Request) -> Result<Response, Error> {
    let (kind, content) = (request.event_type.to_string(), request.body.json());
    let (ctx, requester) = (call.ctx(), call.requester()?);
    let event_id = send_event(
        ctx,
        requester,
        &request.room_id,
        &kind,
        Some(request.txn_id.as_str()),
        content,
    )
    .await?;
    Ok(Response::new(event_id))
}
