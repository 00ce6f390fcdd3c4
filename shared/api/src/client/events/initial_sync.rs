//! `GET /initialSync`: what clients began with before there was sync.

use ::http::Method;
use plexus_service::sync::legacy::{LIMIT_DEFAULT, get_initial_sync};

use crate::{
    call::Call,
    error::Error,
    extract::query::Query,
    http::{Reply, json_reply},
    routes::{Auth, Family, Route},
};

const PATHS: &[&str] = &["/_matrix/client/v3/initialSync"];

pub(in crate::client) const ROUTE: Route = Route {
    family: Family::Sync,
    ..Route::own(
        "initial_sync",
        || Method::GET,
        PATHS,
        Auth::User,
        |call| Box::pin(handle(call)),
    )
};

async fn handle(call: Call) -> Result<Reply, Error> {
    let query = Query::parse(call.query())?;
    let limit = limit(&query)?;
    let archived = query.flag("archived")?;
    Ok(json_reply(
        get_initial_sync(call.ctx(), call.requester()?, limit, archived).await?,
    ))
}

/// How many events of each room are wanted.
pub(super) fn limit(query: &Query<'_>) -> Result<usize, Error> {
    let limit = query.number("limit")?.map(usize::try_from);
    Ok(limit.map_or(LIMIT_DEFAULT, |limit| limit.unwrap_or(usize::MAX)))
}
