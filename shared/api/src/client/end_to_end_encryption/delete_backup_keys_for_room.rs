//! `DELETE /room_keys/keys/{roomId}`.

use plexus_service::e2e::backup::{Which, delete_keys};
use ruma::api::client::backup::delete_backup_keys_for_room::v3::Request;

use super::backup::{path, version};
use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("delete_backup_keys_for_room", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let which = Which::Room(path(&call, 0));
    let standing = delete_keys(call.ctx(), call.requester()?, &version(&call)?, which).await?;
    Ok(json_reply(serde_json::to_vec(&standing).map_err(Error::internal)?))
}
