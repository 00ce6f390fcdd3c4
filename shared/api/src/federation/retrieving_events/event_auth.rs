//! `GET /_matrix/federation/v1/event_auth/{roomId}/{eventId}`: what allows an event.

use ::http::Method;
use plexus_service::federation::resident::get_event_auth;
use ruma::{OwnedEventId, OwnedRoomId};

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "federation_event_auth",
    || Method::GET,
    &["/_matrix/federation/v1/event_auth/{room_id}/{event_id}"],
    Auth::Server,
    |call| Box::pin(handle(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "roomId")?;
    let event_id: OwnedEventId = parse_path(&call, 1, "eventId")?;
    let chain = get_event_auth(call.ctx(), call.origin()?, &room_id, &event_id).await?;
    Ok(json_reply(chain))
}
