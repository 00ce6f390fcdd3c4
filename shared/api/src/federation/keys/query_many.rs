//! `POST /_matrix/key/v2/query`: other servers' keys, by a notary.

use std::collections::BTreeMap;

use ::http::Method;
use plexus_federation::keys::SERVERS_PER_QUERY_MAX;
use ruma::OwnedServerName;
use serde::Deserialize;

use super::answer;
use crate::{
    call::Call,
    error::Error,
    extract::request::parse_body,
    http::Reply,
    routes::{Auth, Route},
};

pub(in crate::federation) const ROUTE: Route = Route::of_federation(
    "query_many_server_keys",
    || Method::POST,
    &["/_matrix/key/v2/query"],
    Auth::None,
    |call| Box::pin(handle(call)),
);

#[derive(Debug, Deserialize)]
struct Body {
    server_keys: BTreeMap<String, BTreeMap<String, Criteria>>,
}

#[derive(Debug, Deserialize)]
struct Criteria {
    minimum_valid_until_ts: Option<i64>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    if body.server_keys.len() > SERVERS_PER_QUERY_MAX {
        let sentence = format!("server_keys has more than {SERVERS_PER_QUERY_MAX} servers");
        return Err(Error::invalid_param(sentence));
    }
    let now = call.ctx().clock.now_ms();
    let wanted = body.server_keys.into_iter().filter_map(|(server, key_ids)| {
        // A name that is none has no keys; the others' are still answered.
        let server = OwnedServerName::try_from(server).ok()?;
        let until = |criteria: Criteria| criteria.minimum_valid_until_ts.unwrap_or(now);
        let key_ids = key_ids.into_iter().map(|(key_id, criteria)| (key_id, until(criteria)));
        Some((server, key_ids.collect()))
    });
    answer(&call, wanted.collect()).await
}
