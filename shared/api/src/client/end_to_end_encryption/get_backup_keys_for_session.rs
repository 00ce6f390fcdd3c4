//! `GET /room_keys/keys/{roomId}/{sessionId}`.

use plexus_service::e2e::backup::get_session;
use ruma::api::client::backup::get_backup_keys_for_session::v3::Request;

use super::backup::{path, version};
use crate::{
    call::Call,
    error::Error,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("get_backup_keys_for_session", Auth::User, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let keys = get_session(
        call.ctx(),
        call.requester()?,
        &version(&call)?,
        path(&call, 0),
        path(&call, 1),
    )
    .await?;
    Ok(json_reply(serde_json::to_vec(&keys).map_err(Error::internal)?))
}
