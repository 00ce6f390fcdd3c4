//! `PUT /directory/room/{roomAlias}`.

use plexus_service::rooms::aliases::set_alias;
use ruma::{OwnedRoomAliasId, OwnedRoomId, api::client::alias::create_alias::v3::Request};
use serde::Deserialize;

use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("set_alias", Auth::User, |call| Box::pin(handle(call)));

#[derive(Deserialize)]
struct Body {
    room_id: OwnedRoomId,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let alias: OwnedRoomAliasId = parse_path(&call, 0, "the room alias")?;
    let Body { room_id } = parse_body(&call)?;
    set_alias(call.ctx(), call.requester()?, &alias, &room_id).await?;
    Ok(json_reply("{}"))
}
