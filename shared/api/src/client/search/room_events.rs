//! `POST /search`.

use plexus_service::search::{SearchRequest, search};
use ruma::api::client::search::search_events::v3::Request;

use crate::{
    call::Call,
    error::Error,
    extract::{query::Query, request::parse_body},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("search", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let request: SearchRequest = parse_body(&call)?;
    let query = Query::parse(call.query())?;
    let next_batch = query.get("next_batch").filter(|token| !token.is_empty());
    Ok(json_reply(
        search(call.ctx(), call.requester()?, &request, next_batch).await?,
    ))
}
