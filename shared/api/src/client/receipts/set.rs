//! `POST /rooms/{roomId}/receipt/{receiptType}/{eventId}`.

use plexus_core::row::ReceiptKind;
use plexus_service::rooms::receipts::{set_fully_read, set_receipt};
use ruma::api::client::receipt::create_receipt::v3::{ReceiptType, Request, Response};

use crate::{
    call::{Call, typed},
    error::Error,
    routes::{Auth, Route},
};

pub(in crate::client) const ROUTE: Route =
    Route::of::<Request>("receipt", Auth::User, |call| Box::pin(typed(call, handle)));

async fn handle(call: Call, request: Request) -> Result<Response, Error> {
    let kind = match request.receipt_type {
        ReceiptType::Read => ReceiptKind::Read,
        ReceiptType::ReadPrivate => ReceiptKind::ReadPrivate,
        // Account data, by specification set here as well.
        ReceiptType::FullyRead => {
            if request.thread.as_str().is_some() {
                return Err(Error::invalid_param("m.fully_read has no thread_id"));
            }
            set_fully_read(call.ctx(), call.requester()?, &request.room_id, &request.event_id).await?;
            return Ok(Response::new());
        }
        other => {
            return Err(Error::invalid_param(format!(
                "the receipt type {other} is not supported"
            )));
        }
    };
    let thread = request.thread.as_str();
    set_receipt(
        call.ctx(),
        call.requester()?,
        &request.room_id,
        kind,
        thread,
        &request.event_id,
    )
    .await?;
    Ok(Response::new())
}
