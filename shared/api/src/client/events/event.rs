//! `GET /rooms/{roomId}/event/{eventId}`.

use plexus_service::rooms::event::get_event;
use ruma::api::client::room::get_room_event::v3::Request;

use crate::{
    call::{Call, typed_raw},
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("event", Auth::Guest, |call| Box::pin(typed_raw(call, handle)));

async fn handle(call: Call, request: Request) -> Result<Reply, Error> {
    Ok(json_reply(
        get_event(call.ctx(), call.requester()?, &request.room_id, &request.event_id).await?,
    ))
}
