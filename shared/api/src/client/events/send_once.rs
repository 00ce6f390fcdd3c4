//! `POST /rooms/{roomId}/send/{eventType}`: without a transaction id, as clients before the first release sent. A repetition is another event.

use ::http::Method;
use plexus_service::rooms::send::send_event;
use ruma::OwnedRoomId;
use serde_json::{json, value::RawValue};

use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

const PATHS: &[&str] = &["/_matrix/client/v3/rooms/{room_id}/send/{event_type}"];

pub(in crate::client) const ROUTE: Route = Route::own(
    "send_once",
    || Method::POST,
    PATHS,
    Auth::User,
    |call| Box::pin(handle(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let content: Box<RawValue> = parse_body(&call)?;
    let kind = call.path.get(1).map(String::as_str).unwrap_or_default();
    let event_id = send_event(call.ctx(), call.requester()?, &room_id, kind, None, &content).await?;
    Ok(json_reply(json!({"event_id": event_id}).to_string()))
}
