//! Filters that a client stores and names by id.

use plexus_storage::StoreError;
use ruma::UserId;
use serde_json::value::RawValue;

use crate::{Ctx, Requester, ServiceError};

/// Stores a filter; the same one again has the same id.
pub async fn create_filter(
    ctx: &Ctx,
    requester: &Requester,
    user_id: &UserId,
    filter: &RawValue,
) -> Result<String, ServiceError> {
    require_self(requester, user_id)?;
    let id = ctx.store.insert_filter(requester.user, filter.get().as_bytes()).await?;
    Ok(id.to_string())
}

/// A stored filter, as it was given.
pub async fn get_filter(
    ctx: &Ctx,
    requester: &Requester,
    user_id: &UserId,
    filter_id: &str,
) -> Result<bytes::Bytes, ServiceError> {
    require_self(requester, user_id)?;
    let unknown = || ServiceError::not_found("there is no such filter");
    let filter_id: i64 = filter_id.parse().map_err(|_| unknown())?;
    let filter: Result<_, StoreError> = ctx.store.filter(requester.user, filter_id).await;
    filter?.ok_or_else(unknown)
}

fn require_self(requester: &Requester, user_id: &UserId) -> Result<(), ServiceError> {
    if requester.user_id == user_id {
        return Ok(());
    }
    Err(ServiceError::forbidden("a user's filters are his own"))
}
