//! Profiles: display name, avatar, and whatever else a user puts there.

use std::sync::Arc;

use plexus_proto::{self as proto, command::Kind};
use plexus_storage::profiles::Profile;
use ruma::UserId;
use serde_json::value::RawValue;

use crate::{Ctx, Requester, ServiceError, ids::new_command};

/// Most bytes of one field's JSON.
pub const FIELD_BYTES_MAX: usize = 16 * 1024;
/// Most bytes of a field's name, <https://spec.matrix.org/v1.19/client-server-api/#profiles>.
pub const FIELD_NAME_BYTES_MAX: usize = 255;

/// A user's whole profile. Users of other servers are not known here yet.
pub async fn get_profile(ctx: &Ctx, user_id: &UserId) -> Result<Arc<Profile>, ServiceError> {
    let unknown = || ServiceError::not_found("there is no profile of this user");
    let user = ctx.store.user_nid(user_id).await?.ok_or_else(unknown)?;
    ctx.store.account(user).await?.ok_or_else(unknown)?;
    Ok(ctx.store.profile(user).await?)
}

/// Sets a field of the requester's own profile, or removes it.
pub async fn set_profile_field(
    ctx: &Ctx,
    requester: &Requester,
    user_id: &UserId,
    field: &str,
    value: Option<&RawValue>,
) -> Result<(), ServiceError> {
    if requester.user_id != user_id {
        return Err(ServiceError::forbidden("only the user himself changes his profile"));
    }
    if field.is_empty() || field.len() > FIELD_NAME_BYTES_MAX {
        return Err(ServiceError::invalid_param("the name of the field is empty or too long"));
    }
    if value.is_some_and(|value| value.get().len() > FIELD_BYTES_MAX) {
        return Err(ServiceError::refused(crate::error::Refusal::TooLarge, "the value is too large"));
    }
    let command = proto::SetProfile {
        user_id: user_id.to_string(),
        field: field.to_owned(),
        value: value.map(|value| value.get().as_bytes().to_vec()),
    };
    ctx.replica.run(new_command(Kind::SetProfile(command))).await?;
    Ok(())
}
