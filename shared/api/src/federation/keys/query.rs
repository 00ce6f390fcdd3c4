//! `GET /_matrix/key/v2/query/{serverName}`: another server's keys, by a notary.

use std::collections::BTreeMap;

use ::http::Method;
use plexus_federation::keys::DocumentsWanted;
use ruma::OwnedServerName;

use super::answer;
use crate::{
    call::Call,
    error::Error,
    extract::{query::Query, request::parse_path},
    http::Reply,
    routes::{Auth, Route},
};

/// Older servers name a key in the path.
pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "query_server_keys",
    || Method::GET,
    &[
        "/_matrix/key/v2/query/{server_name}",
        "/_matrix/key/v2/query/{server_name}/{key_id}",
    ],
    Auth::None,
    |call| Box::pin(handle(call)),
);

async fn handle(call: Call) -> Result<Reply, Error> {
    let server: OwnedServerName = parse_path(&call, 0, "serverName")?;
    let query = Query::parse(call.query())?;
    let until_ms = match query.get("minimum_valid_until_ts") {
        Some(text) => {
            let number = text.parse();
            number.map_err(|_| Error::invalid_param("minimum_valid_until_ts is no number"))?
        }
        None => call.ctx().clock.now_ms(),
    };
    let mut key_ids = BTreeMap::new();
    if call.path.len() > 1 {
        key_ids.insert(call.segment(1).to_owned(), until_ms);
    }
    answer(&call, DocumentsWanted::from([(server, key_ids)])).await
}
