//! `GET /_matrix/federation/v1/timestamp_to_event/{roomId}`: the event closest to a time.

use ::http::Method;
use plexus_service::rooms::timestamp::find_event_by_time_for_server;
use ruma::OwnedRoomId;

use crate::{
    call::Call,
    error::Error,
    extract::{page, query::Query, request::parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "federation_timestamp_to_event",
    || Method::GET,
    &["/_matrix/federation/v1/timestamp_to_event/{room_id}"],
    Auth::Server,
    |call| Box::pin(handle(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "roomId")?;
    let query = Query::parse(call.query())?;
    let ts_ms = query.number("ts")?.ok_or_else(|| Error::missing_param("missing ts"))?;
    let direction = page::direction(&query)?.ok_or_else(|| Error::missing_param("missing dir"))?;
    let found = find_event_by_time_for_server(call.ctx(), call.origin()?, &room_id, ts_ms, direction).await?;
    Ok(json_reply(found))
}
