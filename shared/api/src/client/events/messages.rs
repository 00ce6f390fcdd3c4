//! `GET /rooms/{roomId}/messages`.

use plexus_service::rooms::messages::{PageRequest, get_messages};
use ruma::{OwnedRoomId, api::client::message::get_message_events::v3::Request};

use crate::{
    call::Call,
    error::Error,
    extract::{page, query::Query, request::parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("messages", Auth::Guest, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let query = Query::parse(call.query())?;
    let direction = page::direction(&query)?.ok_or_else(|| Error::missing_param("missing dir"))?;
    let request = PageRequest {
        from: page::text(&query, "from"),
        to: page::text(&query, "to"),
        direction,
        limit: page::limit(&query)?,
        filter: page::filter(&query)?,
    };
    let (ctx, requester) = (call.ctx(), call.requester()?);
    Ok(json_reply(get_messages(ctx, requester, &room_id, request).await?))
}
