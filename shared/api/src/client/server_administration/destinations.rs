//! `/_synapse/admin/v1/federation/destinations`: the servers that this one sends to, how they do, and what rooms they are in. `POST .../reset_connection`
//! has one that does not answer tried again at once.

use ::http::Method;
use plexus_service::destinations::{
    OrderBy, Page, get_destination, list_destinations, reset_destination, rooms_of_destination,
};
use ruma::OwnedServerName;

use crate::{
    call::Call,
    error::Error,
    extract::{query::Query, request::parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Family, Route},
};

pub(in crate::client) const LIST_ROUTE: Route = Route {
    family: Family::Admin,
    ..Route::own(
        "list_destinations",
        || Method::GET,
        &["/_synapse/admin/v1/federation/destinations"],
        Auth::User,
        |call| Box::pin(list(call)),
    )
};

pub(in crate::client) const ROUTE: Route = Route {
    family: Family::Admin,
    ..Route::own(
        "get_destination",
        || Method::GET,
        &["/_synapse/admin/v1/federation/destinations/{destination}"],
        Auth::User,
        |call| Box::pin(handle(call)),
    )
};

pub(in crate::client) const ROOMS_ROUTE: Route = Route {
    family: Family::Admin,
    ..Route::own(
        "rooms_of_destination",
        || Method::GET,
        &["/_synapse/admin/v1/federation/destinations/{destination}/rooms"],
        Auth::User,
        |call| Box::pin(rooms(call)),
    )
};

pub(in crate::client) const RESET_ROUTE: Route = Route {
    family: Family::Admin,
    ..Route::own(
        "reset_destination",
        || Method::POST,
        &["/_synapse/admin/v1/federation/destinations/{destination}/reset_connection"],
        Auth::User,
        |call| Box::pin(reset(call)),
    )
};

async fn list(call: Call) -> Result<Reply, Error> {
    let query = Query::parse(call.query())?;
    let by = match query.get("order_by") {
        None | Some("destination") => OrderBy::Destination,
        Some("retry_last_ts") => OrderBy::RetryLast,
        Some("retry_interval") => OrderBy::RetryInterval,
        Some("failure_ts") => OrderBy::Failure,
        Some("last_successful_stream_ordering") => OrderBy::LastSuccess,
        Some(_) => return Err(Error::invalid_param("there is no such order")),
    };
    let (name, page) = (query.get("destination"), page(&query)?);
    let told = list_destinations(call.ctx(), call.requester()?, name, by, &page).await?;
    Ok(json_reply(told.to_string()))
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let server = server(&call)?;
    let told = get_destination(call.ctx(), call.requester()?, &server).await?;
    Ok(json_reply(told.to_string()))
}

async fn rooms(call: Call) -> Result<Reply, Error> {
    let (server, query) = (server(&call)?, Query::parse(call.query())?);
    let told = rooms_of_destination(call.ctx(), call.requester()?, &server, &page(&query)?).await?;
    Ok(json_reply(told.to_string()))
}

async fn reset(call: Call) -> Result<Reply, Error> {
    let server = server(&call)?;
    reset_destination(call.ctx(), call.requester()?, &server).await?;
    Ok(json_reply("{}"))
}

fn server(call: &Call) -> Result<OwnedServerName, Error> {
    parse_path(call, 0, "the server's name")
}

fn page(query: &Query<'_>) -> Result<Page, Error> {
    let number = |key| -> Result<Option<usize>, Error> {
        let number = query.number(key)?.map(usize::try_from).transpose();
        number.map_err(|_| Error::invalid_param(format!("`{key}` is too large")))
    };
    Ok(Page {
        from: number("from")?.unwrap_or_default(),
        limit: number("limit")?,
        backward: match query.get("dir") {
            None | Some("f") => false,
            Some("b") => true,
            Some(_) => return Err(Error::invalid_param("`dir` is `f` or `b`")),
        },
    })
}
