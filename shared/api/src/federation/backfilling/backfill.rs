//! `GET /_matrix/federation/v1/backfill/{roomId}`: events and what came before them.

use ::http::Method;
use plexus_service::federation::resident::backfill;
use ruma::{OwnedEventId, OwnedRoomId};

use crate::{
    call::Call,
    error::Error,
    extract::{query::Query, request::parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "federation_backfill",
    || Method::GET,
    &["/_matrix/federation/v1/backfill/{room_id}"],
    Auth::Server,
    |call| Box::pin(handle(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "roomId")?;
    let query = Query::parse(call.query())?;
    let limit = query.number("limit")?;
    let limit = limit.ok_or_else(|| Error::missing_param("limit is missing"))?;
    let invalid = |_| Error::invalid_param("v is no event id");
    let from = query.all("v").map(|id| OwnedEventId::try_from(id).map_err(invalid));
    let from: Vec<OwnedEventId> = from.collect::<Result<_, _>>()?;
    if from.is_empty() {
        return Err(Error::missing_param("v is missing"));
    }
    let transaction = backfill(call.ctx(), call.origin()?, &room_id, &from, limit).await?;
    Ok(json_reply(transaction))
}
