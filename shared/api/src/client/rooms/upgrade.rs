//! `POST /rooms/{roomId}/upgrade`.

use plexus_service::rooms::upgrade::upgrade_room;
use ruma::{OwnedRoomId, OwnedUserId, api::client::room::upgrade_room::v3::Request};
use serde::Deserialize;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("upgrade", Auth::User, |call| Box::pin(handle(call)));

#[derive(Deserialize)]
struct Body {
    new_version: String,
    #[serde(default)]
    additional_creators: Vec<OwnedUserId>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let body: Body = parse_body(&call)?;
    let (ctx, requester) = (call.ctx(), call.requester()?);
    let new = upgrade_room(ctx, requester, &room_id, &body.new_version, &body.additional_creators).await?;
    Ok(json_reply(json!({"replacement_room": new}).to_string()))
}
