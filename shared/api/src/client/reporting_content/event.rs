//! `POST /rooms/{roomId}/report/{eventId}`.

use plexus_service::reports::report_event;
use ruma::{OwnedEventId, OwnedRoomId, api::client::room::report_content::v3::Request};

use super::Body;
use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("report_event", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let event_id: OwnedEventId = parse_path(&call, 1, "the event id")?;
    let body: Body = parse_body(&call)?;
    report_event(call.ctx(), call.requester()?, &room_id, &event_id, body.into()).await?;
    Ok(json_reply("{}"))
}
