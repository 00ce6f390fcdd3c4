//! `POST /rooms/{roomId}/ban`.

use plexus_proto::change_membership::Action;
use plexus_service::rooms::membership::{Change, change_membership};
use ruma::api::client::membership::ban_user::v3::{Request, Response};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("ban", Auth::User, |call| Box::pin(typed(call, handle)));

pub(in crate::client) const TRANSACTION_ROUTE: Route =
    Route::of_transaction::<Request>("ban_txn", Auth::User, |call| Box::pin(typed(call, handle)));

async fn handle(call: Call, request: Request) -> Result<Response, Error> {
    let requester = call.requester()?;
    let mut change = Change::new(&request.room_id, &request.user_id, Action::Ban, request.reason);
    change.transaction.clone_from(&call.transaction);
    change_membership(call.ctx(), requester, change).await?;
    Ok(Response::new())
}
