//! `POST /rooms/{roomId}/read_markers`: the marker and the receipts in one request.

use plexus_core::row::ReceiptKind;
use plexus_service::rooms::receipts::{set_fully_read, set_receipt};
use ruma::api::client::read_marker::set_read_marker::v3::{Request, Response};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("read_markers", Auth::User, |call| Box::pin(typed(call, handle)));

async fn handle(call: Call, request: Request) -> Result<Response, Error> {
    let (ctx, requester, room) = (call.ctx(), call.requester()?, &request.room_id);
    let receipts = [
        (ReceiptKind::Read, &request.read_receipt),
        (ReceiptKind::ReadPrivate, &request.private_read_receipt),
    ];
    for (kind, event_id) in receipts {
        if let Some(event_id) = event_id {
            set_receipt(ctx, requester, room, kind, None, event_id).await?;
        }
    }
    if let Some(event_id) = &request.fully_read {
        set_fully_read(ctx, requester, room, event_id).await?;
    }
    Ok(Response::new())
}
