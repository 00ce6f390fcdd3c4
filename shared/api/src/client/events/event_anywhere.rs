//! `GET /events/{eventId}`, deprecated, <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3eventseventid>.

use http::Method;
use plexus_service::rooms::event::get_event_anywhere;
use ruma::OwnedEventId;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::own(
    "event_anywhere",
    || Method::GET,
    &[
        "/_matrix/client/v3/events/{event_id}",
        "/_matrix/client/r0/events/{event_id}",
    ],
    Auth::User,
    |call| Box::pin(handle(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    let event_id: OwnedEventId = parse_path(&call, 0, "the event id")?;
    Ok(json_reply(
        get_event_anywhere(call.ctx(), call.requester()?, &event_id).await?,
    ))
}
