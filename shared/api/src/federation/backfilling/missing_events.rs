//! `POST /_matrix/federation/v1/get_missing_events/{roomId}`: the events between some and others.

use ::http::Method;
use plexus_service::federation::resident::{MissingWish, get_missing_events};
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;

use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "federation_missing_events",
    || Method::POST,
    &["/_matrix/federation/v1/get_missing_events/{room_id}"],
    Auth::Server,
    |call| Box::pin(handle(call)),
);

#[derive(Debug, Deserialize)]
struct Body {
    #[serde(default)]
    earliest_events: Vec<OwnedEventId>,
    #[serde(default)]
    latest_events: Vec<OwnedEventId>,
    limit: Option<u64>,
    min_depth: Option<i64>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "roomId")?;
    let body: Body = parse_body(&call)?;
    let wish = MissingWish {
        earliest: body.earliest_events,
        latest: body.latest_events,
        limit: body.limit,
        min_depth: body.min_depth,
    };
    let events = get_missing_events(call.ctx(), call.origin()?, &room_id, &wish).await?;
    Ok(json_reply(events))
}
