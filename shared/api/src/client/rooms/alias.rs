//! `GET /directory/room/{roomAlias}`.

use plexus_service::rooms::aliases::resolve_alias;
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
    let room_id = resolve_alias(call.ctx(), &alias).await?;
    let servers = [&call.ctx().config.server_name];
    Ok(json_reply(json!({"room_id": room_id, "servers": servers}).to_string()))
}
