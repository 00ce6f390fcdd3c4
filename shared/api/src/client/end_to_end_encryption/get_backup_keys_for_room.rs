//! `GET /room_keys/keys/{roomId}`.

use plexus_service::e2e::backup::get_room_keys;
use ruma::api::client::backup::get_backup_keys_for_room::v3::Request;

use super::backup::{path, version};
use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("get_backup_keys_for_room", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let keys = get_room_keys(call.ctx(), call.requester()?, &version(&call)?, path(&call, 0)).await?;
    Ok(json_reply(serde_json::to_vec(&keys).map_err(Error::internal)?))
}
