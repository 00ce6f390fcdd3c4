//! `GET /events`: the stream of before there was sync.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select};
use plexus_service::sync::legacy::{EventsRequest, LIMIT_DEFAULT, get_events, open_stream};
use ruma::{OwnedRoomId, api::client::peeking::listen_to_new_events::v3::Request};
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::query::Query,
    http::{Reply, json_reply},
    routes::{Auth, Family, Route},
};

/// How long a client waits that does not say.
const TIMEOUT_DEFAULT_MS: u64 = 30_000;

pub(in crate::client) const ROUTE: Route = Route {
    family: Family::Sync,
    ..Route::of::<Request>("events", Auth::Guest, |call| Box::pin(handle(call)))
};

async fn handle(call: Call) -> Result<Reply, Error> {
    let query = Query::parse(call.query())?;
    let given = |key: &str| query.get(key).filter(|text| !text.is_empty());
    let limit = query.number("limit")?.map(usize::try_from);
    let room_id: Option<OwnedRoomId> = given("room_id").map(str::parse).transpose().map_err(|_| no_room_id())?;
    let request = EventsRequest {
        limit: limit.map_or(LIMIT_DEFAULT, |limit| limit.unwrap_or(usize::MAX)),
        timeout: Duration::from_millis(query.number("timeout")?.unwrap_or(TIMEOUT_DEFAULT_MS)),
        room_id,
        token_hash: call.token_hash,
        from: open_stream(call.ctx(), given("from")).await?,
    };
    let answer = pin!(get_events(call.ctx(), call.requester()?, &request));
    match select(answer, pin!(call.app.stopped_waiting())).await {
        Either::Left((answer, _)) => Ok(json_reply(answer?)),
        // Nothing new: the client asks again, where somebody answers.
        Either::Right(((), _)) => {
            let nothing = json!({"chunk": [], "start": request.from, "end": request.from});
            Ok(json_reply(nothing.to_string()))
        }
    }
}

fn no_room_id() -> Error {
    Error::invalid_param("room_id is no room id")
}
