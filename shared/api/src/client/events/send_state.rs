//! `PUT /rooms/{roomId}/state/{eventType}/{stateKey}`, the state key empty if it is left out.

use plexus_service::rooms::send::send_state;
use ruma::api::client::state::send_state_event::v3::{Request, Response};

use super::state_event::EMPTY_KEY_PATHS;
use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route {
    more_paths: EMPTY_KEY_PATHS,
    ..Route::of::<Request>("send_state", Auth::Guest, |call| Box::pin(typed(call, handle)))
};

async fn handle(call: Call, request: Request) -> Result<Response, Error> {
    let (kind, content) = (request.event_type.to_string(), request.body.json());
    let (ctx, requester) = (call.ctx(), call.requester()?);
    let event_id = send_state(ctx, requester, &request.room_id, &kind, &request.state_key, content).await?;
    Ok(Response::new(event_id))
}
