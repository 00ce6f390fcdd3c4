//! `GET /rooms/{roomId}/joined_members`.

use plexus_service::rooms::state::get_joined_members;
use ruma::api::client::membership::joined_members::v3::Request;

use crate::{
    call::{Call, typed_raw},
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("joined_members", Auth::User, |call| Box::pin(typed_raw(call, handle)));

async fn handle(call: Call, request: Request) -> Result<Reply, Error> {
    Ok(json_reply(
        get_joined_members(call.ctx(), call.requester()?, &request.room_id).await?,
    ))
}
