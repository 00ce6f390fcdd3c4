//! `GET /sync`.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use plexus_core::row::PresenceState;
use plexus_service::{
    presence::parse_state,
    sync::{SyncRequest, sync},
};
use ruma::api::client::sync::sync_events::v3::Request;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::query::Query,
    http::{Reply, json_reply},
    routes::{Auth, Family, Route},
};

pub(in crate::client) const ROUTE: Route = Route {
    family: Family::Sync,
    ..Route::of::<Request>("sync", Auth::Guest, |call| Box::pin(handle(call)))
};

async fn handle(call: Call) -> Result<Reply, Error> {
    let query = Query::parse(call.query())?;
    let text = |key: &str| query.get(key).filter(|text| !text.is_empty()).map(str::to_owned);
    let request = SyncRequest {
        since: text("since"),
        filter: text("filter"),
        full_state: query.flag("full_state")?,
        use_state_after: query.flag("use_state_after")?,
        set_presence: Some(match query.get("set_presence") {
            None | Some("") => PresenceState::Online,
            Some(word) => parse_state(word)
                .ok_or_else(|| Error::invalid_param("set_presence is none of online, offline, unavailable"))?,
        }),
        timeout: Duration::from_millis(query.number("timeout")?.unwrap_or_default()),
        token_hash: call.token_hash,
    };
    let since = request.since.clone();
    let answer = pin!(sync(call.ctx(), call.requester()?, request));
    let Some(since) = since else {
        return Ok(json_reply(answer.await?.0));
    };
    match select(answer, pin!(call.app.stopped_waiting())).await {
        Either::Left((answer, _)) => Ok(json_reply(answer?.0)),
        // Nothing new: the client asks again, where somebody answers.
        Either::Right(((), _)) => Ok(json_reply(json!({"next_batch": since}).to_string())),
    }
}
