//! `GET /_matrix/federation/v1/state/{roomId}`: a room's state before an event.

use ::http::Method;
use plexus_service::federation::resident::get_state;
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
    "federation_state",
    || Method::GET,
    &["/_matrix/federation/v1/state/{room_id}"],
    Auth::Server,
    |call| Box::pin(handle(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    let event_id = event_id(&call)?;
    let room_id: OwnedRoomId = parse_path(&call, 0, "roomId")?;
    let state = get_state(call.ctx(), call.origin()?, &room_id, &event_id).await?;
    Ok(json_reply(state))
}
