//! `PUT /rooms/{roomId}/typing/{userId}`.

use std::time::Duration;

use plexus_service::rooms::typing::{TYPING_DEFAULT, set_typing};
use ruma::{OwnedRoomId, OwnedUserId, api::client::typing::create_typing_event::v3::Request};
use serde::Deserialize;

use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("typing", Auth::User, |call| Box::pin(handle(call)));

/// ruma wants a timeout from whoever is typing; the specification does not.
#[derive(Deserialize)]
struct Body {
    typing: bool,
    timeout: Option<u64>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let user_id: OwnedUserId = parse_path(&call, 1, "the user id")?;
    let body: Body = parse_body(&call)?;
    let typing_for = body
        .typing
        .then(|| body.timeout.map_or(TYPING_DEFAULT, Duration::from_millis));
    set_typing(call.ctx(), call.requester()?, &room_id, &user_id, typing_for).await?;
    Ok(json_reply("{}"))
}
