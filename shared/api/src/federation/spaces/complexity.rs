//! `GET /_matrix/federation/unstable/rooms/{roomId}/complexity`: how complex a room is.

use ::http::Method;
use plexus_service::federation::complexity::get_complexity;
use ruma::OwnedRoomId;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "room_complexity",
    || Method::GET,
    &["/_matrix/federation/unstable/rooms/{room_id}/complexity"],
    Auth::Server,
    |call| Box::pin(handle(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "roomId")?;
    let complexity = get_complexity(call.ctx(), call.origin()?, &room_id).await?;
    Ok(json_reply(complexity.to_string()))
}
