//! `GET /rooms/{roomId}/context/{eventId}`.

use plexus_service::rooms::context::get_context;
use ruma::{OwnedEventId, OwnedRoomId, api::client::context::get_context::v3::Request};

use crate::{
    call::Call,
    error::Error,
    extract::{page, query::Query, request::parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("context", Auth::Guest, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let event_id: OwnedEventId = parse_path(&call, 1, "the event id")?;
    let query = Query::parse(call.query())?;
    let (limit, filter) = (page::limit(&query)?, page::filter(&query)?);
    let (ctx, requester) = (call.ctx(), call.requester()?);
    Ok(json_reply(
        get_context(ctx, requester, &room_id, &event_id, limit, &filter).await?,
    ))
}
