//! `GET /rooms/{roomId}/state`.

use plexus_service::rooms::state::get_state;
use ruma::api::client::state::get_state_events::v3::Request;

use crate::{
    call::{Call, typed_raw},
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("state", Auth::Guest, |call| Box::pin(typed_raw(call, handle)));

async fn handle(call: Call, request: Request) -> Result<Reply, Error> {
    Ok(json_reply(
        get_state(call.ctx(), call.requester()?, &request.room_id).await?,
    ))
}
