//! `GET /directory/room/{roomAlias}`.

use plexus_service::federation::directory::resolve;
use ruma::{OwnedRoomAliasId, api::client::alias::get_alias::v3::Request};
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("alias", Auth::None, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let alias: OwnedRoomAliasId = parse_path(&call, 0, "the room alias")?;
    let room = resolve(call.ctx(), &alias).await?;
    Ok(json_reply(
        json!({"room_id": room.room_id, "servers": room.servers}).to_string(),
    ))
}
