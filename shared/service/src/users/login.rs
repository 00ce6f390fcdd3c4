//! Logging in: with a password, or with a token.

use std::sync::Arc;

use plexus_storage::accounts::Account;
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::Value;

use super::{
    sessions::{DeviceWish, NewSession, create_session},
    tickets::{self, Kind},
    uia,
};
use crate::{Ctx, Requester, ServiceError, error::Refusal};

/// Who a client says the user is: <https://spec.matrix.org/v1.19/client-server-api/#identifier-types>, and the keys that did the same before them.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Identifier {
    #[serde(default)]
    pub identifier: Option<UserIdentifier>,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub medium: Option<String>,
    #[serde(default)]
    pub address: Option<String>,
}

/// The `identifier` of a login or of a password stage.
#[derive(Clone, Debug, Deserialize)]
pub struct UserIdentifier {
    #[serde(rename = "type")]
    pub kind: String,
    pub user: Option<String>,
}

impl Identifier {
    /// What a stage of interactive authentication says; nothing if it says it in no way we know.
    pub(super) fn of_stage(auth: &Value) -> Self {
        Self::deserialize(auth).unwrap_or_default()
    }
}

/// The user that is meant; none if it is nobody of this server. E-mail addresses and phone numbers belong to nobody here.
pub(super) fn named_user(ctx: &Ctx, named: &Identifier) -> Result<Option<OwnedUserId>, ServiceError> {
    let bad = |what: &str| ServiceError::refused(Refusal::InvalidParam, what);
    let name = match &named.identifier {
        Some(identifier) => match identifier.kind.as_str() {
            "m.id.user" => identifier.user.as_deref(),
            "m.id.thirdparty" | "m.id.phone" => return Ok(None),
            _ => return Err(bad("there is no such type of identifier")),
        },
        None if named.user.is_none() && (named.medium.is_some() || named.address.is_some()) => return Ok(None),
        None => named.user.as_deref(),
    };
    let missing = || ServiceError::refused(Refusal::MissingParam, "missing the user's name");
    Ok(own_user_id(ctx, name.ok_or_else(missing)?))
}

/// Checks a password and opens a session.
///
/// An unknown user and a wrong password get the same answer after the same time.
pub async fn log_in_with_password(
    ctx: &Ctx,
    named: &Identifier,
    password: String,
    wish: DeviceWish,
) -> Result<(OwnedUserId, NewSession), ServiceError> {
    let user_id = named_user(ctx, named)?;
    let account = match &user_id {
        Some(user_id) => find_account(ctx, user_id).await?,
        None => None,
    };
    let hash = account.as_ref().and_then(|account| account.password_hash.clone());
    let right = ctx.passwords.verify(password, hash).await?;
    let (Some(user_id), Some(account), true) = (user_id, account, right) else {
        return Err(ServiceError::forbidden("wrong user name or password"));
    };
    check_open(&account)?;
    let session = create_session(ctx, &user_id, wish).await?;
    Ok((user_id, session))
}

/// Gives somebody who has proved that it is he another way to log in: a token, good once and soon. With how long it is good.
pub async fn give_login_token(
    ctx: &Ctx,
    requester: &Requester,
    auth: Option<&Value>,
) -> Result<(String, i64), ServiceError> {
    if !ctx.config.accounts.login_tokens {
        return Err(ServiceError::refused(
            Refusal::Unrecognized,
            "there are no login tokens here",
        ));
    }
    uia::authorize(ctx, requester, auth, "POST /login/get_token").await?;
    let token = tickets::give(ctx, Kind::Login, &requester.user_id).await?;
    Ok((token, Kind::Login.ttl_ms()))
}

/// Opens a session for a login token, which is used up now.
pub async fn log_in_with_token(
    ctx: &Ctx,
    token: &str,
    wish: DeviceWish,
) -> Result<(OwnedUserId, NewSession), ServiceError> {
    let refused = || ServiceError::forbidden("the login token is not known, or used, or too old");
    let user_id: OwnedUserId = tickets::take(ctx, Kind::Login, token).await?.ok_or_else(refused)?;
    let account = find_account(ctx, &user_id).await?.ok_or_else(refused)?;
    check_open(&account)?;
    let session = create_session(ctx, &user_id, wish).await?;
    Ok((user_id, session))
}

fn check_open(account: &Account) -> Result<(), ServiceError> {
    if account.deactivated {
        let why = "the account has been deactivated";
        return Err(ServiceError::refused(Refusal::UserDeactivated, why));
    }
    if account.standing.locked {
        return Err(ServiceError::Locked);
    }
    Ok(())
}

/// The id a user means by what he typed as his name, if it can be one of this server.
fn own_user_id(ctx: &Ctx, user: &str) -> Option<OwnedUserId> {
    let server_name = &ctx.config.server_name;
    let user_id = UserId::parse_with_server_name(user, server_name).ok()?;
    (user_id.server_name() == server_name).then_some(user_id)
}

/// The account of a user of this server.
pub(crate) async fn find_account(ctx: &Ctx, user_id: &UserId) -> Result<Option<Arc<Account>>, ServiceError> {
    match ctx.store.user_nid(user_id).await? {
        Some(user) => Ok(ctx.store.account(user).await?),
        None => Ok(None),
    }
}
