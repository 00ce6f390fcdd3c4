//! `POST /rooms/{roomId}/report`.

use plexus_service::reports::report_room;
use ruma::{OwnedRoomId, api::client::room::report_room::v3::Request};

use super::Body;
use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("report_room", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let body: Body = parse_body(&call)?;
    report_room(call.ctx(), call.requester()?, &room_id, body.into()).await?;
    Ok(json_reply("{}"))
}
