//! `GET /directory/list/room/{roomId}`.

use plexus_service::rooms::directory::is_listed;
use ruma::{OwnedRoomId, api::client::directory::get_room_visibility::v3::Request};
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("listed", Auth::None, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let listed = is_listed(call.ctx(), &room_id).await?;
    let visibility = if listed { "public" } else { "private" };
    Ok(json_reply(json!({"visibility": visibility}).to_string()))
}
