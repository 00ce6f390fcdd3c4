//! `GET /rooms/{roomId}/hierarchy`.

use plexus_service::rooms::hierarchy::{Wish, get_hierarchy};
use ruma::{OwnedRoomId, api::client::space::get_hierarchy::v1::Request};

use crate::{
    call::Call,
    error::Error,
    extract::{query::Query, request::parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("hierarchy", Auth::Guest, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let query = Query::parse(call.query())?;
    let wish = Wish {
        limit: query.number("limit")?,
        max_depth: query.number("max_depth")?,
        suggested_only: query.flag("suggested_only")?,
        from: query.get("from").map(str::to_owned),
    };
    let rooms = get_hierarchy(call.ctx(), call.requester()?, &room_id, &wish).await?;
    Ok(json_reply(rooms.to_string()))
}
