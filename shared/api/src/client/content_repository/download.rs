//! `GET /media/download/{serverName}/{mediaId}`, and the same with a file name: a file as it was uploaded.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use plexus_service::media::{
    Asked,
    download::{Found, Shown, find},
};
use ruma::api::client::authenticated_media::{get_content, get_content_as_filename};

use super::send::send;
use crate::{
    call::Call,
    error::Error,
    extract::query::Query,
    http::Reply,
    routes::{Auth, Family, Route},
};

/// How long a client waits for a file that is still to come, if it does not say.
const WAIT_DEFAULT_MS: u64 = 20_000;

pub(in crate::client) const ROUTE: Route = Route {
    family: Family::Media,
    ..Route::of::<get_content::v1::Request>("download", Auth::Guest, |call| Box::pin(handle(call, Shown::Token)))
};

pub(in crate::client) const ROUTE_AS: Route = Route {
    family: Family::Media,
    ..Route::of::<get_content_as_filename::v1::Request>("download_as", Auth::Guest, |call| {
        Box::pin(handle(call, Shown::Token))
    })
};

/// The same from before there were tokens for everything.
pub(in crate::client) const LEGACY: Route = Route {
    family: Family::Media,
    ..Route::own(
        "legacy_download",
        || ::http::Method::GET,
        &[
            "/_matrix/media/v3/download/{server_name}/{media_id}",
            "/_matrix/media/r0/download/{server_name}/{media_id}",
            "/_matrix/media/v1/download/{server_name}/{media_id}",
        ],
        Auth::None,
        |call| Box::pin(handle(call, Shown::Nothing)),
    )
};

/// The same with a file name.
pub(in crate::client) const LEGACY_AS: Route = Route {
    family: Family::Media,
    ..Route::own(
        "legacy_download_as",
        || ::http::Method::GET,
        &[
            "/_matrix/media/v3/download/{server_name}/{media_id}/{filename}",
            "/_matrix/media/r0/download/{server_name}/{media_id}/{filename}",
            "/_matrix/media/v1/download/{server_name}/{media_id}/{filename}",
        ],
        Auth::None,
        |call| Box::pin(handle(call, Shown::Nothing)),
    )
};

async fn handle(call: Call, shown: Shown) -> Result<Reply, Error> {
    let asked = Asked::parse(call.segment(0), call.segment(1))?;
    let query = Query::parse(call.query())?;
    check_remote(&call, &query)?;
    let wait = wait(&query)?;
    let mut found = or_stopped(&call, find(call.ctx(), asked, shown, wait)).await?;
    if let Some(name) = call.path.get(2) {
        found.file_name = Some(name.clone());
    }
    send(&call, found, shown).await
}

/// Refuses files of other servers to those who do not want them: other servers, that is, so that none asks in a circle.
pub(super) fn check_remote(call: &Call, query: &Query<'_>) -> Result<(), Error> {
    let is_local = call.segment(0) == call.ctx().config.server_name;
    if is_local || query.get("allow_remote") != Some("false") {
        Ok(())
    } else {
        Err(Error::not_found("the file is of another server"))
    }
}

/// How long to wait for a file that is still to come.
pub(crate) fn wait(query: &Query<'_>) -> Result<Duration, Error> {
    Ok(Duration::from_millis(
        query.number("timeout_ms")?.unwrap_or(WAIT_DEFAULT_MS),
    ))
}

/// What a search finds, unless the process stops while it waits.
pub(crate) async fn or_stopped(
    call: &Call,
    search: impl Future<Output = Result<Found, plexus_service::ServiceError>>,
) -> Result<Found, Error> {
    match select(pin!(search), pin!(call.app.stopped_waiting())).await {
        Either::Left((found, _)) => Ok(found?),
        Either::Right(((), _)) => Err(Error::unavailable("the process is stopping")),
    }
}
