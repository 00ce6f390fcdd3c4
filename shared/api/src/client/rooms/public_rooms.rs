//! `GET` and `POST /publicRooms`.

use plexus_service::rooms::directory::{Search, list_public_rooms};
use ruma::api::client::directory::{
    get_public_rooms::v3::Request, get_public_rooms_filtered::v3::Request as FilteredRequest,
};
use serde::Deserialize;

use crate::{
    call::Call,
    error::Error,
    extract::{query::Query, request::parse_body},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("public_rooms", Auth::Optional, |call| Box::pin(handle(call)));

pub(in crate::client) const SEARCH_ROUTE: Route =
    Route::of::<FilteredRequest>("search_public_rooms", Auth::Guest, |call| Box::pin(handle_search(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    if call.ctx().config.rooms.directory_needs_token {
        call.requester()?;
    }
    let query = Query::parse(call.query())?;
    check_server(&call, &query)?;
    let search = Search {
        limit: query.number("limit")?,
        since: query.get("since").map(str::to_owned),
        ..Search::default()
    };
    answer(&call, &search).await
}

#[derive(Deserialize)]
struct Body {
    limit: Option<u64>,
    since: Option<String>,
    #[serde(default)]
    filter: Filter,
    #[serde(default)]
    include_all_networks: bool,
    third_party_instance_id: Option<String>,
}

#[derive(Default, Deserialize)]
struct Filter {
    generic_search_term: Option<String>,
    room_types: Option<Vec<Option<String>>>,
}

async fn handle_search(call: Call) -> Result<Reply, Error> {
    check_server(&call, &Query::parse(call.query())?)?;
    let body: Body = parse_body(&call)?;
    if body.include_all_networks && body.third_party_instance_id.is_some() {
        return Err(Error::invalid_param("one network is asked for, and all of them too"));
    }
    let search = Search {
        limit: body.limit,
        since: body.since,
        term: body.filter.generic_search_term,
        room_types: body.filter.room_types,
        network: body.third_party_instance_id.filter(|network| !network.is_empty()),
    };
    answer(&call, &search).await
}

fn check_server(call: &Call, query: &Query<'_>) -> Result<(), Error> {
    match query.get("server") {
        Some(server) if !server.is_empty() && server != call.ctx().config.server_name => Err(Error::not_found(
            "this server does not ask other servers for their rooms",
        )),
        Some(_) | None => Ok(()),
    }
}

async fn answer(call: &Call, search: &Search) -> Result<Reply, Error> {
    Ok(json_reply(list_public_rooms(call.ctx(), search).await?.to_string()))
}
