//! `PUT /_matrix/federation/v1/send_knock/{roomId}/{eventId}`: a user of another server knocks.

use ::http::Method;
use plexus_federation::rooms::Step;
use plexus_service::federation::room_answer::write_knocked;

use crate::{
    call::Call,
    error::Error,
    federation::joining_rooms::send,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "send_knock",
    || Method::PUT,
    &["/_matrix/federation/v1/send_knock/{room_id}/{event_id}"],
    Auth::Server,
    |call| Box::pin(handle(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    let admitted = send(&call, Step::Knock).await?;
    Ok(json_reply(write_knocked(call.ctx(), &admitted).await?))
}
