//! `GET /media/thumbnail/{serverName}/{mediaId}`: a small picture of a large one.

use plexus_media::Method;
use plexus_service::media::{
    Asked,
    download::Shown,
    thumbnail::{Asking, find_thumbnail},
};
use ruma::api::client::authenticated_media::get_content_thumbnail::v1::Request;

use super::{
    download::{check_remote, or_stopped, wait},
    send::send,
};
use crate::{
    call::Call,
    error::Error,
    extract::query::Query,
    http::Reply,
    routes::{Auth, Family, Route},
};

pub(in crate::client) const ROUTE: Route = Route {
    family: Family::Media,
    ..Route::of::<Request>("thumbnail", Auth::Guest, |call| Box::pin(handle(call, Shown::Token)))
};

/// The same from before there were tokens for everything.
pub(in crate::client) const LEGACY: Route = Route {
    family: Family::Media,
    ..Route::own(
        "legacy_thumbnail",
        || ::http::Method::GET,
        &[
            "/_matrix/media/v3/thumbnail/{server_name}/{media_id}",
            "/_matrix/media/r0/thumbnail/{server_name}/{media_id}",
            "/_matrix/media/v1/thumbnail/{server_name}/{media_id}",
        ],
        Auth::None,
        |call| Box::pin(handle(call, Shown::Nothing)),
    )
};

async fn handle(call: Call, shown: Shown) -> Result<Reply, Error> {
    let asked = Asked::parse(call.segment(0), call.segment(1))?;
    let query = Query::parse(call.query())?;
    check_remote(&call, &query)?;
    let asking = asking(&query)?;
    let found = find_thumbnail(call.ctx(), asked, asking, shown, wait(&query)?);
    let found = or_stopped(&call, found).await?;
    send(&call, found, shown).await
}

/// The picture that a query asks for.
pub(crate) fn asking(query: &Query<'_>) -> Result<Asking, Error> {
    let side = |key: &str| {
        let missing = || Error::missing_param(format!("the query lacks {key}"));
        query.number(key)?.ok_or_else(missing)
    };
    let method = match query.get("method") {
        None | Some("scale") => Method::Scale,
        Some("crop") => Method::Crop,
        Some(_) => return Err(Error::invalid_param("method is neither crop nor scale")),
    };
    Ok(Asking::parse(
        side("width")?,
        side("height")?,
        method,
        query.flag("animated")?,
    )?)
}
