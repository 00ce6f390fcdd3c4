//! `POST /rooms/{roomId}/join`.

use ruma::api::client::membership::join_room_by_id::v3::{Request, Response};

use super::join::join_room;
use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("join_by_id", Auth::Guest, |call| Box::pin(typed(call, handle)));

pub(in crate::client) const TRANSACTION_ROUTE: Route =
    Route::of_transaction::<Request>("join_by_id_txn", Auth::User, |call| Box::pin(typed(call, handle)));

async fn handle(call: Call, request: Request) -> Result<Response, Error> {
    join_room(&call, &request.room_id, request.reason).await?;
    Ok(Response::new(request.room_id))
}
