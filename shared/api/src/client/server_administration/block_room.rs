//! `PUT /_synapse/admin/v1/rooms/{roomId}/block`: lets no local user into a room any more, or ends that; GET: whether it is so.

use ::http::Method;
use plexus_service::rooms::removals::{get_blocked, set_blocked};
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Family, Route},
};

const PATH: &str = "/_synapse/admin/v1/rooms/{room_id}/block";

pub(in crate::client) const ROUTE: Route = Route {
    family: Family::Admin,
    ..Route::own(
        "block_room",
        || Method::PUT,
        &[PATH],
        Auth::User,
        |call| Box::pin(handle(call)),
    )
};

pub(in crate::client) const GET_ROUTE: Route = Route {
    family: Family::Admin,
    ..Route::own(
        "is_room_blocked",
        || Method::GET,
        &[PATH],
        Auth::User,
        |call| Box::pin(handle_get(call)),
    )
};

#[derive(Deserialize)]
struct Body {
    block: bool,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let Body { block } = parse_body(&call)?;
    set_blocked(call.ctx(), call.requester()?, &room_id, block).await?;
    Ok(json_reply(json!({"block": block}).to_string()))
}

async fn handle_get(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let reply = match get_blocked(call.ctx(), call.requester()?, &room_id).await? {
        Some(user_id) => json!({"block": true, "user_id": user_id}),
        None => json!({"block": false}),
    };
    Ok(json_reply(reply.to_string()))
}
