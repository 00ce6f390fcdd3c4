//! What becomes of an account: another password, an end, what administrators decide about it.

use plexus_core::ids::UserNid;
use plexus_proto::{self as proto, command::Kind};
use ruma::UserId;
use serde_json::Value;

use super::{login::find_account, uia};
use crate::{Ctx, Requester, ServiceError, error::Refusal, ids::new_command};

/// Changes the requester's password once he has proved that he knows the old one. His other sessions end if he wishes that.
pub async fn change_password(
    ctx: &Ctx,
    requester: &Requester,
    auth: Option<&Value>,
    new_password: Option<String>,
    end_other_sessions: bool,
) -> Result<(), ServiceError> {
    uia::authorize(ctx, requester, auth, "POST /account/password").await?;
    let missing = || ServiceError::refused(Refusal::MissingParam, "missing field `new_password`");
    let new_password = new_password.ok_or_else(missing)?;
    let command = proto::SetPassword {
        user_id: requester.user_id.to_string(),
        password_hash: ctx.passwords.hash(new_password).await?,
        end_other_sessions,
        kept_device_id: Some(requester.device_id.to_string()),
    };
    ctx.replica.run(new_command(Kind::SetPassword(command))).await?;
    Ok(())
}

/// Closes the requester's account for good.
pub async fn deactivate(
    ctx: &Ctx,
    requester: &Requester,
    auth: Option<&Value>,
    erase: bool,
) -> Result<(), ServiceError> {
    uia::authorize(ctx, requester, auth, "POST /account/deactivate").await?;
    let command = proto::Deactivate {
        user_id: requester.user_id.to_string(),
        erase,
    };
    ctx.replica.run(new_command(Kind::Deactivate(command))).await?;
    Ok(())
}

/// Whether a user asked to be forgotten: what he said is shown only to those who were there when he said it.
pub async fn is_erased(ctx: &Ctx, user: UserNid) -> Result<bool, ServiceError> {
    let account = ctx.store.account(user).await?;
    Ok(account.is_some_and(|account| account.standing.erased))
}

/// What an administrator can set about an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// It cannot be used.
    Lock,
    /// It can be used to read.
    Suspend,
}

/// Whether a measure is in force against a user.
pub async fn get_measure(
    ctx: &Ctx,
    requester: &Requester,
    user_id: &UserId,
    measure: Measure,
) -> Result<bool, ServiceError> {
    let account = find_moderated(ctx, requester, user_id).await?;
    Ok(match measure {
        Measure::Lock => account.standing.locked,
        Measure::Suspend => account.standing.suspended,
    })
}

/// Sets a measure against a user, or ends it.
pub async fn set_measure(
    ctx: &Ctx,
    requester: &Requester,
    user_id: &UserId,
    measure: Measure,
    on: bool,
) -> Result<(), ServiceError> {
    let account = find_moderated(ctx, requester, user_id).await?;
    if account.admin {
        return Err(ServiceError::forbidden("administrators are not locked or suspended"));
    }
    let mut command = proto::SetStanding {
        user_id: user_id.to_string(),
        locked: None,
        suspended: None,
    };
    match measure {
        Measure::Lock => command.locked = Some(on),
        Measure::Suspend => command.suspended = Some(on),
    }
    ctx.replica.run(new_command(Kind::SetStanding(command))).await?;
    Ok(())
}

/// The account an administrator asks about. Who is none learns nothing, not even whether there is one.
async fn find_moderated(
    ctx: &Ctx,
    requester: &Requester,
    user_id: &UserId,
) -> Result<std::sync::Arc<plexus_storage::accounts::Account>, ServiceError> {
    if !requester.admin {
        return Err(ServiceError::forbidden("only a server administrator may do this"));
    }
    if user_id.server_name() != ctx.config.server_name {
        return Err(ServiceError::refused(
            Refusal::InvalidParam,
            "the user is of another server",
        ));
    }
    let account = find_account(ctx, user_id).await?;
    let account = account.filter(|account| !account.deactivated);
    account.ok_or_else(|| ServiceError::not_found("there is no such user"))
}
