//! `GET /room_summary/{roomIdOrAlias}`.

use plexus_service::rooms::summary::get_summary;
use ruma::{OwnedRoomOrAliasId, api::client::room::get_summary::v1::Request};

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("room_summary", Auth::Optional, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let room: OwnedRoomOrAliasId = parse_path(&call, 0, "the room id or alias")?;
    let summary = get_summary(call.ctx(), call.requester.as_ref(), &room).await?;
    Ok(json_reply(summary.to_string()))
}
