//! `POST /_synapse/admin/v1/purge_history/{roomId}`, with the id of an event behind it or without: deletes what was said before that event, or before a
//! time. `GET /_synapse/admin/v1/purge_history_status/{purgeId}`: how far that is.

use ::http::Method;
use plexus_service::rooms::removals::{self, PurgePoint, purge_history};
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;
use serde_json::json;

use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Family, Route},
};

pub(in crate::client) const ROUTE: Route = Route {
    family: Family::Admin,
    ..Route::own(
        "purge_history",
        || Method::POST,
        &[
            "/_synapse/admin/v1/purge_history/{room_id}",
            "/_synapse/admin/v1/purge_history/{room_id}/{event_id}",
        ],
        Auth::User,
        |call| Box::pin(handle(call)),
    )
};

pub(in crate::client) const STATUS_ROUTE: Route = Route {
    family: Family::Admin,
    ..Route::own(
        "purge_history_status",
        || Method::GET,
        &["/_synapse/admin/v1/purge_history_status/{purge_id}"],
        Auth::User,
        |call| Box::pin(status(call)),
    )
};

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    delete_local_events: bool,
    purge_up_to_event_id: Option<OwnedEventId>,
    purge_up_to_ts: Option<u64>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let body: Body = parse_body(&call)?;
    let in_path = (call.path.len() > 1).then(|| parse_path(&call, 1, "the event id"));
    let point = match (in_path.transpose()?.or(body.purge_up_to_event_id), body.purge_up_to_ts) {
        (Some(event_id), _) => PurgePoint::Event(event_id),
        (None, Some(ts_ms)) => PurgePoint::Time(ts_ms),
        (None, None) => {
            return Err(Error::bad_json(
                "either `purge_up_to_event_id` or `purge_up_to_ts` has to be there",
            ));
        }
    };
    let purge_id = purge_history(call.ctx(), call.requester()?, &room_id, point, body.delete_local_events).await?;
    Ok(json_reply(json!({"purge_id": purge_id}).to_string()))
}

async fn status(call: Call) -> Result<Reply, Error> {
    let told = removals::purge_status(call.ctx(), call.requester()?, call.segment(0)).await?;
    Ok(json_reply(told.to_string()))
}
