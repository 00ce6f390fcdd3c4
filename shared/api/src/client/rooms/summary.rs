//! `GET /room_summary/{roomIdOrAlias}`.

use plexus_service::rooms::summary::get_summary;
use ruma::{OwnedRoomOrAliasId, OwnedServerName, api::client::room::get_summary::v1::Request};

use crate::{
    call::Call,
    error::Error,
    extract::{query::Query, request::parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("room_summary", Auth::Optional, |call| Box::pin(handle(call)));

/// Most servers that a client names.
const VIA_MAX: usize = 10;

async fn handle(call: Call) -> Result<Reply, Error> {
    let room: OwnedRoomOrAliasId = parse_path(&call, 0, "the room id or alias")?;
    let query = Query::parse(call.query())?;
    let via = query.all("via").take(VIA_MAX).filter_map(|name| name.try_into().ok());
    let via: Vec<OwnedServerName> = via.collect();
    let summary = get_summary(call.ctx(), call.requester.as_ref(), &room, &via).await?;
    Ok(json_reply(summary.to_string()))
}
