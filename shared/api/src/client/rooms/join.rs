//! `POST /join/{roomIdOrAlias}`.

use plexus_proto::change_membership::Action;
use plexus_service::rooms::membership::{Change, change_membership};
use ruma::{
    OwnedRoomId, RoomId,
    api::client::membership::join_room_by_id_or_alias::v3::{Request, Response},
};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("join", Auth::Guest, |call| Box::pin(typed(call, handle)));

pub(in crate::client) const TRANSACTION_ROUTE: Route =
    Route::of_transaction::<Request>("join_txn", Auth::User, |call| Box::pin(typed(call, handle)));

async fn handle(call: Call, request: Request) -> Result<Response, Error> {
    let room_id = OwnedRoomId::try_from(request.room_id_or_alias);
    // There are no aliases here yet, and so this one does not exist.
    let room_id = room_id.map_err(|alias| Error::not_found(format!("the room alias {alias} does not exist")))?;
    join_room(&call, &room_id, request.reason).await?;
    Ok(Response::new(room_id))
}

/// Joins the requester to a room.
pub(super) async fn join_room(call: &Call, room_id: &RoomId, reason: Option<String>) -> Result<(), Error> {
    let requester = call.requester()?;
    let mut change = Change::new(room_id, &requester.user_id, Action::Join, reason);
    change.transaction.clone_from(&call.transaction);
    Ok(change_membership(call.ctx(), requester, change).await?)
}
