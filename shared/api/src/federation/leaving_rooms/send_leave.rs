//! `PUT /_matrix/federation/v2/send_leave/{roomId}/{eventId}` and its first version: a user of another server leaves, or refuses an invite.

use ::http::Method;
use plexus_federation::rooms::Step;

use crate::{
    call::Call,
    error::Error,
    federation::joining_rooms::{send, with_status},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "send_leave",
    || Method::PUT,
    &["/_matrix/federation/v2/send_leave/{room_id}/{event_id}"],
    Auth::Server,
    |call| Box::pin(handle(call)),
);

pub(in crate::federation) const OLD_ROUTE: Route = Route::of_federation(
    "send_leave_v1",
    || Method::PUT,
    &["/_matrix/federation/v1/send_leave/{room_id}/{event_id}"],
    Auth::Server,
    |call| Box::pin(handle_old(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    send(&call, Step::Leave).await?;
    Ok(json_reply("{}"))
}

async fn handle_old(call: Call) -> Result<Reply, Error> {
    send(&call, Step::Leave).await?;
    Ok(json_reply(with_status(b"{}")))
}
