//! `GET /_matrix/federation/v1/hierarchy/{roomId}`: a room and the rooms in it.

use ::http::Method;
use plexus_service::federation::hierarchy::get_hierarchy_for_server;
use ruma::OwnedRoomId;

use crate::{
    call::Call,
    error::Error,
    extract::{query::Query, request::parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "federation_hierarchy",
    || Method::GET,
    &[
        "/_matrix/federation/v1/hierarchy/{room_id}",
        "/_matrix/federation/unstable/org.matrix.msc2946/hierarchy/{room_id}",
    ],
    Auth::Server,
    |call| Box::pin(handle(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "roomId")?;
    let suggested_only = Query::parse(call.query())?.flag("suggested_only")?;
    let rooms = get_hierarchy_for_server(call.ctx(), call.origin()?, &room_id, suggested_only).await?;
    Ok(json_reply(rooms.to_string()))
}
