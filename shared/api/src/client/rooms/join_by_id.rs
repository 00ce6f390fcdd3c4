//! `POST /rooms/{roomId}/join`.

use ruma::{OwnedRoomId, api::client::membership::join_room_by_id::v3::Request};

use super::join::join_room;
use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::Reply,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("join_by_id", Auth::Guest, |call| Box::pin(handle(call)));

pub(in crate::client) const TRANSACTION_ROUTE: Route =
    Route::of_transaction::<Request>("join_by_id_txn", Auth::Guest, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    join_room(&call, &room_id, Vec::new()).await
}
