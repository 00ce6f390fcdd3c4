//! `GET /rooms/{roomId}/messages`.

use plexus_core::filter::RoomEventFilter;
use plexus_service::rooms::messages::{PageRequest, get_messages};
use plexus_storage::events::Direction;
use ruma::{OwnedRoomId, api::client::message::get_message_events::v3::Request};

use crate::{
    call::Call,
    error::Error,
    extract::{query::Query, request::parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("messages", Auth::Guest, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let request = page_request(&Query::parse(call.query())?)?;
    Ok(json_reply(
        get_messages(call.ctx(), call.requester()?, &room_id, request).await?,
    ))
}

fn page_request(query: &Query<'_>) -> Result<PageRequest, Error> {
    let direction = match query.get("dir") {
        Some("b") => Direction::Backward,
        Some("f") => Direction::Forward,
        Some(_) => return Err(Error::invalid_param("dir is neither b nor f")),
        None => return Err(Error::missing_param("missing dir")),
    };
    let filter = query
        .get("filter")
        .map(|filter| RoomEventFilter::parse(filter.as_bytes()))
        .transpose();
    let text = |key: &str| query.get(key).map(str::to_owned);
    let limit = query
        .number("limit")?
        .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(PageRequest {
        from: text("from"),
        to: text("to"),
        direction,
        limit,
        filter: filter
            .map_err(|error| Error::invalid_param(error.to_string()))?
            .unwrap_or_default(),
    })
}
