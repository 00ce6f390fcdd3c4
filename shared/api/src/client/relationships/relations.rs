//! `GET /rooms/{roomId}/relations/{eventId}`, and what its longer forms share with it.

use plexus_service::rooms::relations::{RelationsRequest, list_relations};
use plexus_storage::events::Direction;
use ruma::{OwnedEventId, OwnedRoomId, api::client::relations::get_relating_events::v1::Request};

use crate::{
    call::Call,
    error::Error,
    extract::{page, query::Query, request::parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("relations", Auth::User, |call| Box::pin(handle(call)));

/// The path ends where it will, after the event or after what is asked of its relations.
pub(super) async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let event_id: OwnedEventId = parse_path(&call, 1, "the event id")?;
    let query = Query::parse(call.query())?;
    let request = RelationsRequest {
        rel_type: call.path.get(2).cloned(),
        kind: call.path.get(3).cloned(),
        from: page::text(&query, "from"),
        to: page::text(&query, "to"),
        direction: page::direction(&query)?.unwrap_or(Direction::Backward),
        limit: page::limit(&query)?,
        recurse: query.flag("recurse")?,
    };
    let (ctx, requester) = (call.ctx(), call.requester()?);
    Ok(json_reply(
        list_relations(ctx, requester, &room_id, &event_id, request).await?,
    ))
}
