//! `GET` and `POST /_matrix/federation/v1/publicRooms`: this server's directory.

use ::http::Method;
use plexus_service::{federation::public_rooms::list_public_rooms_for_server, rooms::directory::Search};
use serde::Deserialize;

use crate::{
    call::Call,
    error::Error,
    extract::{query::Query, request::parse_body},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

const PATH: &[&str] = &["/_matrix/federation/v1/publicRooms"];

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "federation_public_rooms",
    || Method::GET,
    PATH,
    Auth::Server,
    |call| Box::pin(handle(call)),
);

pub(in crate::federation) const SEARCH_ROUTE: Route = Route::of_federation(
    "federation_search_public_rooms",
    || Method::POST,
    PATH,
    Auth::Server,
    |call| Box::pin(handle_search(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    let query = Query::parse(call.query())?;
    let network = query
        .get("third_party_instance_id")
        .filter(|network| !network.is_empty());
    let search = Search {
        limit: query.number("limit")?,
        since: query.get("since").map(str::to_owned),
        network: network.map(str::to_owned),
        ..Search::default()
    };
    answer(&call, &search).await
}

#[derive(Debug, Deserialize)]
struct Body {
    limit: Option<u64>,
    since: Option<String>,
    #[serde(default)]
    filter: Filter,
    third_party_instance_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Filter {
    generic_search_term: Option<String>,
    room_types: Option<Vec<Option<String>>>,
}

async fn handle_search(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    let search = Search {
        limit: body.limit,
        since: body.since,
        term: body.filter.generic_search_term,
        room_types: body.filter.room_types,
        network: body.third_party_instance_id.filter(|network| !network.is_empty()),
    };
    answer(&call, &search).await
}

async fn answer(call: &Call, search: &Search) -> Result<Reply, Error> {
    Ok(json_reply(
        list_public_rooms_for_server(call.ctx(), search).await?.to_string(),
    ))
}
