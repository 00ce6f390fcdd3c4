//! `GET /_matrix/federation/v1/state_ids/{roomId}`: the ids of a room's state before an event.

use ::http::Method;
use plexus_service::federation::resident::get_state_ids;
use ruma::OwnedRoomId;

use super::event_id;
use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "federation_state_ids",
    || Method::GET,
    &["/_matrix/federation/v1/state_ids/{room_id}"],
    Auth::Server,
    |call| Box::pin(handle(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    let event_id = event_id(&call)?;
    let room_id: OwnedRoomId = parse_path(&call, 0, "roomId")?;
    let state = get_state_ids(call.ctx(), call.origin()?, &room_id, &event_id).await?;
    Ok(json_reply(state))
}
