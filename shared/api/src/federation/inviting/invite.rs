//! `PUT /_matrix/federation/v2/invite/{roomId}/{eventId}` and its first version: a user of this server is invited.

use ::http::Method;
use plexus_service::federation::invite::{Invitation, receive_invite};
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    federation::joining_rooms::with_status,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

/// An event, and some state of the room with it.
const BODY_CAP: usize = 1024 * 1024;
/// The version of the rooms of servers that ask in the first way. Events of the second look the same.
const OLD_VERSION: &str = "1";

pub(in crate::federation) const ROUTE: Route = Route {
    body_cap: BODY_CAP,
    ..Route::of_federation(
        "federation_invite",
        || Method::PUT,
        &["/_matrix/federation/v2/invite/{room_id}/{event_id}"],
        Auth::Server,
        |call| Box::pin(handle(call)),
    )
};

pub(in crate::federation) const OLD_ROUTE: Route = Route {
    body_cap: BODY_CAP,
    ..Route::of_federation(
        "federation_invite_v1",
        || Method::PUT,
        &["/_matrix/federation/v1/invite/{room_id}/{event_id}"],
        Auth::Server,
        |call| Box::pin(handle_old(call)),
    )
};

#[derive(Debug, Deserialize)]
struct Body {
    room_version: String,
    event: Box<RawValue>,
    #[serde(default)]
    invite_room_state: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OldBody {
    unsigned: Unsigned,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Unsigned {
    invite_room_state: Vec<Value>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    let event = body.event.get().as_bytes();
    let signed = invited(&call, &body.room_version, event, &body.invite_room_state).await?;
    Ok(json_reply(signed))
}

async fn handle_old(call: Call) -> Result<Reply, Error> {
    let body: OldBody = parse_body(&call)?;
    let state = &body.unsigned.invite_room_state;
    let signed = invited(&call, OLD_VERSION, call.request.body(), state).await?;
    Ok(json_reply(with_status(&signed)))
}

/// The invite as this server has signed it.
async fn invited(call: &Call, version: &str, event: &[u8], state: &[Value]) -> Result<Vec<u8>, Error> {
    let room_id: OwnedRoomId = parse_path(call, 0, "roomId")?;
    let event_id: OwnedEventId = parse_path(call, 1, "eventId")?;
    let invitation = Invitation {
        room_id: &room_id,
        event_id: &event_id,
        version,
        event,
        state,
    };
    let signed = receive_invite(call.ctx(), call.origin()?, invitation).await?;
    Ok(format!("{{\"event\":{}}}", signed.json()).into_bytes())
}
