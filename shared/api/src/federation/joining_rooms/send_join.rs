//! `PUT /_matrix/federation/v2/send_join/{roomId}/{eventId}` and its first version: a user of another server comes in.

use ::http::Method;
use plexus_federation::rooms::Step;
use plexus_service::federation::room_answer::write_joined;

use super::{send, with_status};
use crate::{
    call::Call,
    error::Error,
    extract::query::Query,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "send_join",
    || Method::PUT,
    &["/_matrix/federation/v2/send_join/{room_id}/{event_id}"],
    Auth::Server,
    |call| Box::pin(handle(call)),
);

pub(in crate::federation) const OLD_ROUTE: Route = Route::of_federation(
    "send_join_v1",
    || Method::PUT,
    &["/_matrix/federation/v1/send_join/{room_id}/{event_id}"],
    Auth::Server,
    |call| Box::pin(handle_old(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    let omit_members = Query::parse(call.query())?.flag("omit_members")?;
    let admitted = send(&call, Step::Join).await?;
    Ok(json_reply(write_joined(call.ctx(), &admitted, omit_members).await?))
}

async fn handle_old(call: Call) -> Result<Reply, Error> {
    let admitted = send(&call, Step::Join).await?;
    let answer = write_joined(call.ctx(), &admitted, false).await?;
    Ok(json_reply(with_status(&answer)))
}
