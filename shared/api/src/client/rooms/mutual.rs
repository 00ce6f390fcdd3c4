//! `GET /mutual_rooms`.

use ::http::Method;
use plexus_service::rooms::mutual::get_mutual_rooms;

use crate::{
    call::Call,
    error::Error,
    extract::query::Query,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::own(
    "mutual_rooms",
    || Method::GET,
    &[
        "/_matrix/client/v1/mutual_rooms",
        "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms",
    ],
    Auth::User,
    |call| Box::pin(handle(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    let query = Query::parse(call.query())?;
    let user_id = query
        .get("user_id")
        .ok_or_else(|| Error::missing_param("missing user_id"))?;
    // The proposal called it otherwise.
    let from = query.get("from").or_else(|| query.get("batch_token"));
    Ok(json_reply(
        get_mutual_rooms(call.ctx(), call.requester()?, user_id, from).await?,
    ))
}
