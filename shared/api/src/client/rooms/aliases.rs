//! `GET /rooms/{roomId}/aliases`.

use plexus_service::rooms::aliases::list_aliases;
use ruma::{OwnedRoomId, api::client::room::aliases::v3::Request};
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("aliases", Auth::Guest, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let aliases = list_aliases(call.ctx(), call.requester()?, &room_id).await?;
    Ok(json_reply(json!({"aliases": aliases}).to_string()))
}
