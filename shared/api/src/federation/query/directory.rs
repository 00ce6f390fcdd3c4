//! `GET /_matrix/federation/v1/query/directory`: what an alias of this server leads to.

use ::http::Method;
use plexus_service::federation::directory::resolve_here;
use ruma::OwnedRoomAliasId;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::query::Query,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "federation_directory",
    || Method::GET,
    &["/_matrix/federation/v1/query/directory"],
    Auth::Server,
    |call| Box::pin(handle(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    let query = Query::parse(call.query())?;
    let alias = query
        .get("room_alias")
        .ok_or_else(|| Error::missing_param("room_alias is missing"))?;
    let alias = OwnedRoomAliasId::try_from(alias).map_err(|_| Error::invalid_param("room_alias is not valid"))?;
    let room = resolve_here(call.ctx(), &alias).await?;
    Ok(json_reply(
        json!({"room_id": room.room_id, "servers": room.servers}).to_string(),
    ))
}
