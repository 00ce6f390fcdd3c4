//! Logging in with a password.

use ruma::{OwnedUserId, UserId};

use super::sessions::{DeviceWish, NewSession, create_session};
use crate::{Ctx, ServiceError, error::Refusal};

/// Checks a password and opens a session.
///
/// `user` is a user id or its localpart. An unknown user and a wrong password get the same answer after the same time.
pub async fn log_in_with_password(
    ctx: &Ctx,
    user: &str,
    password: String,
    wish: DeviceWish,
) -> Result<(OwnedUserId, NewSession), ServiceError> {
    let user_id = own_user_id(ctx, user);
    let account = match &user_id {
        Some(user_id) => find_account(ctx, user_id).await?,
        None => None,
    };
    let hash = account.as_ref().and_then(|account| account.password_hash.clone());
    let right = ctx.passwords.verify(password, hash).await?;
    let (Some(user_id), Some(account), true) = (user_id, account, right) else {
        return Err(ServiceError::forbidden("wrong user name or password"));
    };
    if account.deactivated {
        return Err(ServiceError::refused(
            Refusal::UserDeactivated,
            "the account has been deactivated",
        ));
    }
    let session = create_session(ctx, &user_id, wish).await?;
    Ok((user_id, session))
}

/// The id a user means by what he typed as his name, if it can be one of this server.
fn own_user_id(ctx: &Ctx, user: &str) -> Option<OwnedUserId> {
    let server_name = &ctx.config.server_name;
    let user_id = UserId::parse_with_server_name(user, server_name).ok()?;
    (user_id.server_name() == server_name).then_some(user_id)
}

async fn find_account(
    ctx: &Ctx,
    user_id: &UserId,
) -> Result<Option<std::sync::Arc<plexus_storage::accounts::Account>>, ServiceError> {
    match ctx.store.user_nid(user_id).await? {
        Some(user) => Ok(ctx.store.account(user).await?),
        None => Ok(None),
    }
}
