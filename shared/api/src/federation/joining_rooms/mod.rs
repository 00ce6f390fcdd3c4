//! Joining rooms.

pub(super) mod make_join;
pub(super) mod send_join;

use plexus_federation::rooms::Step;
use plexus_service::federation::admission::{Admitted, admit, make_member_event};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};

use crate::{
    call::Call,
    error::Error,
    extract::{query::Query, request::parse_path},
    http::{Reply, json_reply},
};

/// The version that a server knows which does not say.
const OLD_VERSION: &str = "1";

/// The event that the user in the path has to send.
pub(super) async fn make(call: &Call, step: Step) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(call, 0, "roomId")?;
    let user_id: OwnedUserId = parse_path(call, 1, "userId")?;
    let query = Query::parse(call.query())?;
    let mut versions: Vec<String> = query.all("ver").map(str::to_owned).collect();
    if versions.is_empty() {
        versions.push(OLD_VERSION.to_owned());
    }
    let template = make_member_event(call.ctx(), call.origin()?, step, (&room_id, &user_id), &versions).await?;
    Ok(json_reply(template.to_string()))
}

/// Puts the event in the body into the room in the path.
pub(super) async fn send(call: &Call, step: Step) -> Result<Admitted, Error> {
    let room_id: OwnedRoomId = parse_path(call, 0, "roomId")?;
    let event_id: OwnedEventId = parse_path(call, 1, "eventId")?;
    let body = call.request.body();
    Ok(admit(call.ctx(), call.origin()?, step, (&room_id, &event_id), body).await?)
}

/// An answer as the first version of an endpoint has it: with a status.
pub(super) fn with_status(answer: &[u8]) -> Vec<u8> {
    [b"[200,", answer, b"]"].concat()
}
