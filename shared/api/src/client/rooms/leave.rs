//! `POST /rooms/{roomId}/leave`.

use plexus_proto::change_membership::Action;
use plexus_service::rooms::membership::{Change, change_membership};
use ruma::api::client::membership::leave_room::v3::{Request, Response};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("leave", Auth::Guest, |call| Box::pin(typed(call, handle)));

pub(in crate::client) const TRANSACTION_ROUTE: Route =
    Route::of_transaction::<Request>("leave_txn", Auth::Guest, |call| Box::pin(typed(call, handle)));

async fn handle(call: Call, request: Request) -> Result<Response, Error> {
    let requester = call.requester()?;
    let mut change = Change::new(&request.room_id, &requester.user_id, Action::Leave, request.reason);
    change.transaction.clone_from(&call.transaction);
    change_membership(call.ctx(), requester, change).await?;
    Ok(Response::new())
}
