//! `GET /_matrix/federation/v1/media/download/{mediaId}`: a file of this server.

use ::http::Method;
use plexus_service::media::{
    Asked,
    download::{Shown, find},
};

use super::send;
use crate::{
    call::Call,
    client::content_repository::download::{or_stopped, wait},
    error::Error,
    extract::query::Query,
    http::Reply,
    routes::{Auth, Family, Route},
};

pub(in crate::federation) const ROUTE: Route = Route {
    family: Family::Media,
    ..Route::of_federation(
        "federation_download",
        || Method::GET,
        &["/_matrix/federation/v1/media/download/{media_id}"],
        Auth::Server,
        |call| Box::pin(handle(call)),
    )
};

async fn handle(call: Call) -> Result<Reply, Error> {
    let asked = Asked::parse(call.ctx().config.server_name.as_str(), call.segment(0))?;
    let wait = wait(&Query::parse(call.query())?)?;
    let found = or_stopped(&call, find(call.ctx(), asked, Shown::Token, wait)).await?;
    send(&call, &found).await
}
