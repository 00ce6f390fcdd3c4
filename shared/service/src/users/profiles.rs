//! Profiles: display name, avatar, and whatever else a user puts there.

use std::sync::Arc;

use plexus_federation::request::{Outgoing, encode};
use plexus_proto::{self as proto, command::Kind};
use plexus_storage::profiles::Profile;
use ruma::UserId;
use serde_json::value::RawValue;

use crate::{Ctx, Requester, ServiceError, error::Refusal, ids::new_command};

/// Most bytes of a whole profile, <https://spec.matrix.org/v1.19/client-server-api/#profiles>.
const PROFILE_BYTES_MAX: usize = 64 * 1024;
/// Most characters of a display name.
const DISPLAY_NAME_CHARS_MAX: usize = 100;
/// Most characters of an avatar's URL.
const AVATAR_URL_CHARS_MAX: usize = 1000;
/// Most bytes of a field's name.
const FIELD_NAME_BYTES_MAX: usize = 255;

/// A user's whole profile; that of another server's user as his server has it.
pub async fn get_profile(
    ctx: &Ctx,
    requester: Option<&Requester>,
    user_id: &UserId,
) -> Result<Arc<Profile>, ServiceError> {
    if requester.is_none() && ctx.config.accounts.profiles_need_token {
        return Err(ServiceError::refused(
            Refusal::MissingToken,
            "profiles are shown to users only",
        ));
    }
    if user_id.server_name() != ctx.config.server_name {
        return get_profile_elsewhere(ctx, user_id).await.map(Arc::new);
    }
    get_profile_here(ctx, user_id).await
}

/// The profile of a user of this server, or one field of it, for another server.
pub async fn get_profile_for_server(ctx: &Ctx, user_id: &UserId, field: Option<&str>) -> Result<Profile, ServiceError> {
    if user_id.server_name() != ctx.config.server_name {
        return Err(ServiceError::invalid_param("the user is not of this server"));
    }
    let profile = get_profile_here(ctx, user_id).await?;
    let wanted = profile
        .iter()
        .filter(|(name, _)| field.is_none_or(|field| field == *name));
    Ok(wanted.map(|(name, value)| (name.clone(), value.clone())).collect())
}

async fn get_profile_elsewhere(ctx: &Ctx, user_id: &UserId) -> Result<Profile, ServiceError> {
    let target = format!(
        "/_matrix/federation/v1/query/profile?user_id={}",
        encode(user_id.as_str())
    );
    let mut request = Outgoing::get(user_id.server_name(), target);
    request.limits.answer_bytes_max = PROFILE_BYTES_MAX;
    let answer = ctx.federation.send(request).await?;
    let profile: Result<Profile, _> = serde_json::from_slice(&answer.body);
    profile.map_err(|_| ServiceError::Unavailable(format!("{} gives no profile", user_id.server_name())))
}

async fn get_profile_here(ctx: &Ctx, user_id: &UserId) -> Result<Arc<Profile>, ServiceError> {
    let unknown = || ServiceError::not_found("there is no profile of this user");
    let user = ctx.store.user_nid(user_id).await?.ok_or_else(unknown)?;
    let account = ctx.store.account(user).await?;
    account.filter(|account| !account.deactivated).ok_or_else(unknown)?;
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
    if requester.guest && field != "displayname" {
        return Err(ServiceError::refused(
            Refusal::GuestsForbidden,
            "guests have a display name only",
        ));
    }
    if field.len() > FIELD_NAME_BYTES_MAX {
        return Err(ServiceError::refused(
            Refusal::KeyTooLarge,
            "the name of the field is too long",
        ));
    }
    if field.is_empty() {
        return Err(ServiceError::invalid_param("the name of the field is empty"));
    }
    if let Some(value) = value {
        check_value(field, value)?;
        let profile = ctx.store.profile(requester.user).await?;
        let others = profile.iter().filter(|(name, _)| *name != field);
        let bytes: usize = others.map(|(name, value)| name.len() + value.get().len()).sum();
        if bytes + field.len() + value.get().len() > PROFILE_BYTES_MAX {
            return Err(ServiceError::refused(
                Refusal::ProfileTooLarge,
                "the profile would be too large",
            ));
        }
    }
    let command = proto::SetProfile {
        user_id: user_id.to_string(),
        field: field.to_owned(),
        value: value.map(|value| value.get().to_owned().into()),
    };
    ctx.replica.run(new_command(Kind::SetProfile(command))).await?;
    Ok(())
}

/// The two fields that member events show are short texts.
fn check_value(field: &str, value: &RawValue) -> Result<(), ServiceError> {
    let text = || {
        let text: Result<String, _> = serde_json::from_str(value.get());
        text.map_err(|_| ServiceError::bad_json(format!("{field} is no string")))
    };
    let too_long = match field {
        "displayname" => text()?.chars().count() > DISPLAY_NAME_CHARS_MAX,
        "avatar_url" => text()?.chars().count() > AVATAR_URL_CHARS_MAX,
        _ => false,
    };
    if too_long {
        Err(ServiceError::invalid_param(format!("{field} is too long")))
    } else {
        Ok(())
    }
}
