//! `DELETE /_synapse/admin/v2/rooms/{roomId}`: deletes a room in the background. The same of version 1, and `shutdown_room`, which blocks a room and keeps
//! it, answer once it is done.

use ::http::Method;
use plexus_service::rooms::removals::{self, Deletion, await_deletion};
use ruma::{OwnedRoomId, OwnedUserId};
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
        "delete_room",
        || Method::DELETE,
        &["/_synapse/admin/v2/rooms/{room_id}"],
        Auth::User,
        |call| Box::pin(handle(call)),
    )
};

pub(in crate::client) const WAITING_ROUTE: Route = Route {
    family: Family::Admin,
    ..Route::own(
        "delete_room_and_wait",
        || Method::DELETE,
        &["/_synapse/admin/v1/rooms/{room_id}"],
        Auth::User,
        |call| Box::pin(handle_waiting(call)),
    )
};

pub(in crate::client) const SHUTDOWN_ROUTE: Route = Route {
    family: Family::Admin,
    ..Route::own(
        "shutdown_room",
        || Method::POST,
        &["/_synapse/admin/v1/shutdown_room/{room_id}"],
        Auth::User,
        |call| Box::pin(shut_down(call)),
    )
};

pub(in crate::client) const STATUS_ROUTE: Route = Route {
    family: Family::Admin,
    ..Route::own(
        "delete_room_status",
        || Method::GET,
        &["/_synapse/admin/v2/rooms/delete_status/{delete_id}"],
        Auth::User,
        |call| Box::pin(status(call)),
    )
};

pub(in crate::client) const ROOM_STATUS_ROUTE: Route = Route {
    family: Family::Admin,
    ..Route::own(
        "delete_room_statuses",
        || Method::GET,
        &["/_synapse/admin/v2/rooms/{room_id}/delete_status"],
        Auth::User,
        |call| Box::pin(statuses(call)),
    )
};

#[derive(Deserialize)]
struct Body {
    new_room_user_id: Option<OwnedUserId>,
    room_name: Option<String>,
    message: Option<String>,
    #[serde(default)]
    block: bool,
    purge: Option<bool>,
    #[serde(default)]
    force_purge: bool,
}

impl Body {
    fn deletion(self) -> Deletion {
        Deletion {
            new_room_user_id: self.new_room_user_id,
            room_name: self.room_name,
            message: self.message,
            block: self.block,
            purge: self.purge.unwrap_or(true),
            force_purge: self.force_purge,
        }
    }
}

async fn handle(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    let delete_id = begin(&call, body.deletion()).await?;
    Ok(json_reply(json!({"delete_id": delete_id}).to_string()))
}

async fn handle_waiting(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    let delete_id = begin(&call, body.deletion()).await?;
    let told = await_deletion(call.ctx(), &delete_id).await?;
    Ok(json_reply(told.to_string()))
}

async fn shut_down(call: Call) -> Result<Reply, Error> {
    let body: Body = parse_body(&call)?;
    if body.new_room_user_id.is_none() {
        return Err(Error::missing_param("missing field `new_room_user_id`"));
    }
    let deletion = Deletion {
        block: true,
        purge: false,
        ..body.deletion()
    };
    let delete_id = begin(&call, deletion).await?;
    let told = await_deletion(call.ctx(), &delete_id).await?;
    Ok(json_reply(told.to_string()))
}

async fn begin(call: &Call, deletion: Deletion) -> Result<String, Error> {
    let room_id: OwnedRoomId = parse_path(call, 0, "the room id")?;
    Ok(removals::delete_room(call.ctx(), call.requester()?, &room_id, deletion).await?)
}

async fn status(call: Call) -> Result<Reply, Error> {
    let told = removals::deletion_status(call.ctx(), call.requester()?, call.segment(0)).await?;
    Ok(json_reply(told.to_string()))
}

async fn statuses(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    let told = removals::deletions_of_room(call.ctx(), call.requester()?, &room_id).await?;
    Ok(json_reply(told.to_string()))
}
