//! `POST /rooms/{roomId}/redact/{eventId}`: without a transaction id, as clients before the first release sent.

use ::http::Method;
use plexus_service::rooms::send::redact_event;
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

const PATHS: &[&str] = &["/_matrix/client/v3/rooms/{room_id}/redact/{event_id}"];

pub(in crate::client) const ROUTE: Route = Route::own(
    "redact_once",
    || Method::POST,
    PATHS,
    Auth::User,
    |call| Box::pin(handle(call)),
);

#[derive(Deserialize)]
struct Body {
    reason: Option<String>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let redacts: OwnedEventId = parse_path(&call, 1, "the event id")?;
    let Body { reason } = parse_body(&call)?;
    let (ctx, requester) = (call.ctx(), call.requester()?);
    let event_id = redact_event(ctx, requester, &room_id, &redacts, None, reason.as_deref()).await?;
    Ok(json_reply(json!({"event_id": event_id}).to_string()))
}
