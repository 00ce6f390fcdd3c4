//! `GET /rooms/{roomId}/initialSync`: what clients began with of one room.

use plexus_service::sync::legacy::get_room_initial_sync;
use ruma::{OwnedRoomId, api::client::peeking::get_current_state::v3::Request};

use super::initial_sync::limit;
use crate::{
    call::Call,
    error::Error,
    extract::{query::Query, request::parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Family, Route},
};

pub(in crate::client) const ROUTE: Route = Route {
    family: Family::Sync,
    ..Route::of::<Request>("room_initial_sync", Auth::Guest, |call| Box::pin(handle(call)))
};

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let limit = limit(&Query::parse(call.query())?)?;
    Ok(json_reply(
        get_room_initial_sync(call.ctx(), call.requester()?, &room_id, limit).await?,
    ))
}
