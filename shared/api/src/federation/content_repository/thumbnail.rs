//! `GET /_matrix/federation/v1/media/thumbnail/{mediaId}`: a small picture of a large one of this server.

use ::http::Method;
use plexus_service::media::{Asked, download::Shown, thumbnail::find_thumbnail};

use super::send;
use crate::{
    call::Call,
    client::content_repository::{
        download::{or_stopped, wait},
        thumbnail::asking,
    },
    error::Error,
    extract::query::Query,
    http::Reply,
    routes::{Auth, Family, Route},
};

pub(in crate::federation) const ROUTE: Route = Route {
    family: Family::Media,
    ..Route::of_federation(
        "federation_thumbnail",
        || Method::GET,
        &["/_matrix/federation/v1/media/thumbnail/{media_id}"],
        Auth::Server,
        |call| Box::pin(handle(call)),
    )
};

async fn handle(call: Call) -> Result<Reply, Error> {
    let asked = Asked::parse(call.ctx().config.server_name.as_str(), call.segment(0))?;
    let query = Query::parse(call.query())?;
    let found = find_thumbnail(call.ctx(), asked, asking(&query)?, Shown::Token, wait(&query)?);
    let found = or_stopped(&call, found).await?;
    send(&call, &found).await
}
