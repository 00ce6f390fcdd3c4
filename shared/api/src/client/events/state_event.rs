//! `GET /rooms/{roomId}/state/{eventType}/{stateKey}`, the state key empty if it is left out.

use plexus_service::rooms::state::get_state_event;
use ruma::api::client::state::get_state_event_for_key::v3::{Request, StateEventFormat};

use crate::{
    call::{Call, typed_raw},
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

/// The paths of an empty state key, which ruma's metadata lacks.
pub(super) const EMPTY_KEY_PATHS: &[&str] = &[
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/",
];

pub(in crate::client) const ROUTE: Route = Route {
    more_paths: EMPTY_KEY_PATHS,
    ..Route::of::<Request>("state_event", Auth::Guest, |call| Box::pin(typed_raw(call, handle)))
};

async fn handle(call: Call, request: Request) -> Result<Reply, Error> {
    let (kind, state_key) = (request.event_type.to_string(), &request.state_key);
    let content_only = request.format != StateEventFormat::Event;
    let (ctx, requester) = (call.ctx(), call.requester()?);
    let event = get_state_event(ctx, requester, &request.room_id, &kind, state_key, content_only).await?;
    Ok(json_reply(event))
}
