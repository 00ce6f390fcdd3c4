//! Transactions: what another server sends while it happens.
//!
//! A transaction is answered once all of it is durable: its events in their rooms, or in the table of those that wait for others. The same transaction again
//! gets the same answer, whichever process it comes to. Rooms do not wait for each other; within a room the order is kept.
//!
//! <https://spec.matrix.org/v1.19/server-server-api/#transactions>

mod pdus;

use bytes::Bytes;
use ruma::ServerName;
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::edus;
use crate::{Ctx, ServiceError, error::Refusal};

/// Events in the transactions of other servers, by what became of them.
pub const PDUS_TOTAL: &str = "plexus_federation_received_pdus_total";
/// Most events of one transaction, <https://spec.matrix.org/v1.19/server-server-api/#transactions>.
const PDUS_MAX: usize = 50;
/// Most other messages of one transaction.
const EDUS_MAX: usize = 100;
/// Longest transaction id, in bytes: as long as any other identifier may be.
const TRANSACTION_ID_BYTES_MAX: usize = 255;
/// Most bytes of a transaction: all events and messages as large as they may be, and room for escapes.
pub const TRANSACTION_BYTES_MAX: usize = 200 * 65_536;

#[derive(Debug, Deserialize)]
struct Transaction<'a> {
    #[serde(borrow, default)]
    pdus: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    edus: Vec<&'a RawValue>,
}

/// Takes a transaction of another server. What comes back is the JSON that it is answered.
pub async fn receive_transaction(
    ctx: &Ctx,
    origin: &ServerName,
    transaction_id: &str,
    body: &[u8],
) -> Result<Bytes, ServiceError> {
    if transaction_id.len() > TRANSACTION_ID_BYTES_MAX {
        return Err(ServiceError::invalid_param("the transaction id is too long"));
    }
    let place = ctx.inbound.origins.enter(&origin.to_owned()).ok_or_else(too_many)?;
    let _turn = place.turn.lock().await;
    if let Some(answer) = ctx.store.received_transaction(origin, transaction_id).await? {
        return Ok(answer);
    }
    let transaction: Transaction<'_> =
        serde_json::from_slice(body).map_err(|error| ServiceError::bad_json(format!("no transaction: {error}")))?;
    if transaction.pdus.len() > PDUS_MAX || transaction.edus.len() > EDUS_MAX {
        return Err(ServiceError::bad_json("a transaction has 50 PDUs and 100 EDUs at most"));
    }
    let told = pdus::receive(ctx, origin, &transaction.pdus).await?;
    // After the events: receipts may be of these.
    edus::receive(ctx, origin, transaction_id, &transaction.edus).await?;
    let answer = json!({"pdus": told}).to_string();
    let now_ms = ctx.clock.now_ms();
    let noted = ctx
        .store
        .note_received_transaction(origin, transaction_id, now_ms, answer.into());
    Ok(noted.await?)
}

fn too_many() -> ServiceError {
    ServiceError::refused(
        Refusal::LimitExceeded,
        "earlier transactions of yours are still under way",
    )
}
