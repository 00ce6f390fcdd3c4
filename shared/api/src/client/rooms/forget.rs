//! `POST /rooms/{roomId}/forget`.

use plexus_service::rooms::membership::forget_room;
use ruma::{OwnedRoomId, api::client::membership::forget_room::v3::Request};

use crate::{
    call::Call,
    error::Error,
    extract::request::parse_path,
    http::{Reply, json_reply},
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route = Route::of::<Request>("forget", Auth::Guest, |call| Box::pin(handle(call)));

pub(in crate::client) const TRANSACTION_ROUTE: Route =
    Route::of_transaction::<Request>("forget_txn", Auth::Guest, |call| Box::pin(handle(call)));

async fn handle(call: Call) -> Result<Reply, Error> {
    let room_id: OwnedRoomId = parse_path(&call, 0, "the room id")?;
    forget_room(call.ctx(), call.requester()?, &room_id, call.transaction.as_deref()).await?;
    Ok(json_reply("{}"))
}
