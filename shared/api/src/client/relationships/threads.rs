//! `GET /rooms/{roomId}/threads`.

use plexus_service::rooms::threads::{ThreadsRequest, list_threads};
use ruma::{OwnedRoomId, api::client::threads::get_threads::v1::Request};

use crate::{
    call::Call,
    error::Error,
    extract::{page, query::Query, request::parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("threads", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let query = Query::parse(call.query())?;
    let participated = match query.get("include") {
        None | Some("all") => false,
        Some("participated") => true,
        Some(_) => return Err(Error::invalid_param("include is neither all nor participated")),
    };
    let request = ThreadsRequest {
        participated,
        from: page::text(&query, "from"),
        limit: page::limit(&query)?,
    };
    let (ctx, requester) = (call.ctx(), call.requester()?);
    Ok(json_reply(list_threads(ctx, requester, &room_id, &request).await?))
}
