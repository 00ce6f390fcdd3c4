//! What is told beside events: who types, who has read what, who is there, messages to devices, changes of keys.

use ruma::ServerName;
use serde_json::value::RawValue;

use crate::{Ctx, ServiceError};

/// Takes the other messages of a transaction.
pub(super) async fn receive(
    _ctx: &Ctx,
    _origin: &ServerName,
    _transaction_id: &str,
    _edus: &[&RawValue],
) -> Result<(), ServiceError> {
    Ok(())
}
