//! `GET` and `POST /publicRooms`.

use plexus_service::{
    federation::public_rooms::list_public_rooms_elsewhere,
    rooms::directory::{Search, list_public_rooms},
};
use ruma::{
    OwnedServerName,
    api::client::directory::{
        get_public_rooms::v3::Request, get_public_rooms_filtered::v3::Request as FilteredRequest,
    },
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
    let server = other_server(&call, &query)?;
    let search = Search {
        limit: query.number("limit")?,
        since: query.get("since").map(str::to_owned),
        ..Search::default()
    };
    answer(&call, server, search).await
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
    let server = other_server(&call, &Query::parse(call.query())?)?;
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
    answer(&call, server, search).await
}

/// Another server whose directory is asked for.
fn other_server(call: &Call, query: &Query<'_>) -> Result<Option<OwnedServerName>, Error> {
    let Some(server) = query.get("server").filter(|server| !server.is_empty()) else {
        return Ok(None);
    };
    let server = OwnedServerName::try_from(server).map_err(|_| Error::invalid_param("server is no server's name"))?;
    Ok(Some(server).filter(|server| *server != call.ctx().config.server_name))
}

async fn answer(call: &Call, server: Option<OwnedServerName>, search: Search) -> Result<Reply, Error> {
    let rooms = match server {
        None => list_public_rooms(call.ctx(), &search).await?,
        Some(server) => {
            // Strangers do not make this server ask others.
            call.requester()?;
            list_public_rooms_elsewhere(call.ctx(), &server, search).await?
        }
    };
    Ok(json_reply(rooms.to_string()))
}
