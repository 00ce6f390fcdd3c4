//! `PUT /_matrix/federation/v1/exchange_third_party_invite/{roomId}`: an address that was invited is that of a user of another server.

use ::http::Method;
use plexus_service::federation::invite::exchange_third_party_invite;
use ruma::OwnedRoomId;
use serde_json::Value;

use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "exchange_third_party_invite",
    || Method::PUT,
    &["/_matrix/federation/v1/exchange_third_party_invite/{room_id}"],
    Auth::Server,
    |call| Box::pin(handle(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "roomId")?;
    let event: Value = parse_body(&call)?;
    exchange_third_party_invite(call.ctx(), call.origin()?, &room_id, &event).await?;
    Ok(json_reply("{}"))
}
