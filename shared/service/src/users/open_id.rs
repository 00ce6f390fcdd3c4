//! Showing another service who a user is: <https://spec.matrix.org/v1.19/client-server-api/#openid>.

use ruma::{OwnedUserId, UserId};

use super::{
    login::find_account,
    tickets::{self, Kind},
};
use crate::{Ctx, Requester, ServiceError};

/// A token that tells who the requester is, and for how long it does.
pub async fn give_token(ctx: &Ctx, requester: &Requester, user_id: &UserId) -> Result<(String, i64), ServiceError> {
    if requester.user_id != user_id {
        return Err(ServiceError::forbidden("a user shows only who he is himself"));
    }
    let token = tickets::give(ctx, Kind::OpenId, &requester.user_id).await?;
    Ok((token, Kind::OpenId.ttl_ms()))
}

/// Who gave a service this token.
pub async fn find_user(ctx: &Ctx, token: &str) -> Result<OwnedUserId, ServiceError> {
    let unknown = ServiceError::NoSession { soft_logout: false };
    let Some(found) = tickets::find::<OwnedUserId>(ctx, Kind::OpenId, token).await? else {
        return Err(unknown);
    };
    match find_account(ctx, &found.noted).await? {
        Some(account) if !account.deactivated && !account.standing.locked => Ok(found.noted),
        Some(_) | None => Err(unknown),
    }
}
