//! `PUT /directory/list/room/{roomId}`, and DELETE, as it was before the first release.

use ::http::Method;
use plexus_service::rooms::directory::set_listed;
use ruma::{OwnedRoomId, api::client::directory::set_room_visibility::v3::Request};
use serde::Deserialize;

use crate::{
    call::Call,
    error::Error,
    extract::request::{parse_body, parse_path},
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("set_listed", Auth::User, |call| Box::pin(handle(call)));

pub(in crate::client) const DELETE_ROUTE: Route = Route {
    method: || Method::DELETE,
    ..Route::of::<Request>("delete_listed", Auth::User, |call| Box::pin(handle_delete(call)))
};

#[derive(Deserialize)]
struct Body {
    visibility: Option<String>,
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let Body { visibility } = parse_body(&call)?;
    match visibility.as_deref() {
        None | Some("public") => set(&call, true).await,
        Some("private") => set(&call, false).await,
        Some(_) => Err(Error::invalid_param("visibility is neither public nor private")),
    }
}

async fn handle_delete(call: Call) -> Result<Reply, Error> {
    set(&call, false).await
}

async fn set(call: &Call, listed: bool) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(call, 0, "the room id")?;
    set_listed(call.ctx(), call.requester()?, &room_id, listed).await?;
    Ok(json_reply("{}"))
}
