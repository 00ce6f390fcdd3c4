//! `GET /_matrix/federation/v1/event/{eventId}`: one event.

use ::http::Method;
use plexus_service::federation::resident::get_event;
use ruma::OwnedEventId;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "federation_event",
    || Method::GET,
    &["/_matrix/federation/v1/event/{event_id}"],
    Auth::Server,
    |call| Box::pin(handle(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    let event_id: OwnedEventId = parse_path(&call, 0, "eventId")?;
    let transaction = get_event(call.ctx(), call.origin()?, &event_id).await?;
    Ok(json_reply(transaction))
}
