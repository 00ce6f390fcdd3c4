//! `GET /rooms/{roomId}/timestamp_to_event`.

use plexus_service::rooms::timestamp::find_event_by_time;
use ruma::{OwnedRoomId, api::client::room::get_event_by_timestamp::v1::Request};

use crate::{
    call::Call,
    error::Error,
    extract::{page, query::Query, request::parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("timestamp_to_event", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let query = Query::parse(call.query())?;
    let ts_ms = query.number("ts")?.ok_or_else(|| Error::missing_param("missing ts"))?;
    let direction = page::direction(&query)?.ok_or_else(|| Error::missing_param("missing dir"))?;
    let (ctx, requester) = (call.ctx(), call.requester()?);
    Ok(json_reply(
        find_event_by_time(ctx, requester, &room_id, ts_ms, direction).await?,
    ))
}
